//! semctl(2), shmctl(2), msgctl(2).

use ids::{Class, Vrid};

use crate::core_calls::Core;
use crate::kernel::{Kernel, Section};
use crate::nr;

/// The commands of a class that look at all of its objects: by index, with and without permission to read; totals.
pub struct Commands {
    pub stat: u32,
    pub stat_any: u32,
    pub info: u32,
}

impl Commands {
    pub fn of(class: Class) -> Self {
        match class {
            Class::Semaphores => Self { stat: 18, stat_any: 20, info: 19 },
            Class::Memory => Self { stat: 13, stat_any: 15, info: 14 },
            Class::Messages => Self { stat: 11, stat_any: 13, info: 12 },
        }
    }
}

impl<K: Kernel> Core<'_, '_, K> {
    pub(crate) fn semctl(&self, vrid: Vrid, number: u64, command: u32, argument: u64) -> isize {
        match command {
            nr::SETVAL | nr::SETALL => {
                let arguments = [number, u64::from(command), argument, 0];
                let result = self.kernel.section(Section::Semctl, vrid, arguments);
                if result >= 0 {
                    // The kernel clears every process's adjustments too.
                    let one = (command == nr::SETVAL).then_some(number as u16);
                    self.table.ledger().zero(vrid, one);
                }
                result
            }
            _ if self.is_ours(Class::Semaphores, command) => {
                self.control(Class::Semaphores, vrid, command, argument)
            }
            _ => self.kernel.section(Section::Semctl, vrid, [number, u64::from(command), argument, 0]),
        }
    }

    /// A command that takes no number of a semaphore.
    pub(crate) fn control(&self, class: Class, vrid: Vrid, command: u32, argument: u64) -> isize {
        let commands = Commands::of(class);
        match command {
            nr::IPC_RMID => self.remove(class, vrid),
            nr::IPC_STAT => self.status(class, vrid, argument),
            _ if command == nr::IPC_INFO || command == commands.info => self.info(class, command, argument),
            _ if command == commands.stat => self.status_at(class, vrid.0, argument),
            _ if command == commands.stat_any => self.status_of_any(class, vrid.0, argument),
            _ => self.pass(class, vrid, command, argument),
        }
    }

    /// A command that the kernel alone knows.
    pub(crate) fn pass(&self, class: Class, vrid: Vrid, command: u32, argument: u64) -> isize {
        let command = u64::from(command);
        match class {
            Class::Semaphores => self.kernel.section(Section::Semctl, vrid, [0, command, argument, 0]),
            Class::Memory => self.kernel.section(Section::Shmctl, vrid, [command, argument, 0, 0]),
            Class::Messages => self.kernel.section(Section::Msgctl, vrid, [command, argument, 0, 0]),
        }
    }

    fn is_ours(&self, class: Class, command: u32) -> bool {
        let Commands { stat, stat_any, info } = Commands::of(class);
        [nr::IPC_RMID, nr::IPC_STAT, nr::IPC_INFO, stat, stat_any, info].contains(&command)
    }
}
