//! The memory that a resident helper holds.

use super::misunderstood;
use crate::link::at;
use abi::residence::Plan;
use abi::wire::{Failure, Step};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use sys::Errno;
use sys::region::Region;

const PAGE: u64 = 4096;

/// Nothing of it is ever dropped: it goes with the process.
#[derive(Default)]
pub struct Holding {
    slots: Vec<Region>,
    bench: Vec<Region>,
}

impl Holding {
    /// Maps all that the plan says and fills it. `packs` by their index.
    pub fn load(&mut self, given: Vec<OwnedFd>, packs: &BTreeMap<u32, File>) -> Result<(), Failure> {
        let [plan] = <[OwnedFd; 1]>::try_from(given).map_err(|_| misunderstood())?;
        let mut text = Vec::new();
        File::from(plan).read_to_end(&mut text).map_err(|_| misunderstood())?;
        let plan: Plan = serde_json::from_slice(&text).map_err(|_| misunderstood())?;
        self.map(&plan).map_err(at(Step::Load))?;
        self.fill(&plan, packs).map_err(at(Step::Load))?;
        self.gather(&plan);
        Ok(())
    }

    fn map(&mut self, plan: &Plan) -> sys::Result<()> {
        let mut code = Region::map(plan.layout.code, PAGE, 0)?;
        code.hold_code(&plan.code)?;
        let (data, length) = plan.layout.data;
        self.bench = vec![code, Region::map(data, length, 0)?];
        for slot in &plan.layout.slots {
            self.slots.push(Region::map(slot.address, slot.length, slot.flags)?);
        }
        self.slots.sort_by_key(Region::start);
        Ok(())
    }

    fn fill(&mut self, plan: &Plan, packs: &BTreeMap<u32, File>) -> sys::Result<()> {
        for run in &plan.runs {
            let pack = packs.get(&run.pack).ok_or(Errno::ENOENT)?;
            let slot = self.slot_of(run.address).ok_or(Errno::EINVAL)?;
            slot.read(pack, run.offset, run.address, run.length)?;
        }
        Ok(())
    }

    /// Huge pages make forks cheap, and are no more than that: a kernel without them, or one that finds none free, does as
    /// well.
    fn gather(&mut self, plan: &Plan) {
        for &(address, length) in &plan.huge {
            if let Some(slot) = self.slot_of(address) {
                let _ = slot.collapse(address, length);
            }
        }
    }

    fn slot_of(&mut self, address: u64) -> Option<&mut Region> {
        let after = self.slots.partition_point(|slot| slot.start() <= address);
        self.slots.get_mut(after.checked_sub(1)?)
    }
}
