//! Commands that run in the capsule when everything is built and nothing of the application runs: all its processes and threads
//! have their ids, and stand before their first instruction.

use crate::explain::Result;
use crate::nursery::Nursery;
use abi::edits::Commands;
use abi::{Code, Control, Fault};
use capsule::{Ending, ExecSpec};

pub fn run(hooks: &Commands, nursery: &mut Nursery, control: &Control) -> Result<()> {
    for words in &hooks.commands {
        let spec = ExecSpec {
            argv: words.clone(),
            env: hooks.environment.clone(),
            cwd: "/".into(),
            terminal: false,
            quiet: true,
        };
        let why = match nursery.run(spec, control).map_err(|fault| about(words, fault))? {
            Some(Ending::Code(0)) => continue,
            Some(Ending::Code(code)) => format!("it ended with exit code {code}"),
            Some(Ending::Signal(signal)) => format!("it got signal {signal}"),
            None => "how it ended is not known".to_owned(),
        };
        return Err(Fault::new(Code::RestoreFailed, what(words)).because(why));
    }
    Ok(())
}

fn what(words: &[String]) -> String {
    format!("Could not run the hook \"{}\" in the capsule", words.join(" "))
}

fn about(words: &[String], mut fault: Fault) -> Fault {
    fault.causes.insert(0, std::mem::replace(&mut fault.message, what(words)));
    fault
}
