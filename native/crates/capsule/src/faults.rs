//! What the user reads when a capsule could not do something.

use crate::Aid;
use crate::link::LinkError;
use abi::wire::{Failure, Step};
use abi::{Code, Fault};
use sys::Errno;

/// No application of that id, running or not.
pub fn no_such(aid: &Aid) -> Fault {
    Fault::new(Code::NoTarget, format!("Could not find the application \"{aid}\""))
        .hint("Run \"stasis ps\" to see your applications")
}

/// Turns what happened on a connection into an error about what was attempted, such as `stop "web"`.
pub fn about(attempt: &str) -> impl Fn(LinkError) -> Fault + use<> {
    let attempt = attempt.to_owned();
    move |error| match error {
        LinkError::Cancelled => Fault::new(Code::Interrupted, "Stopped because of an interrupt"),
        LinkError::Failed(failure) => failed(&attempt, &failure),
        LinkError::Ended => {
            Fault::new(Code::NoTarget, format!("Could not {attempt}")).because("it is not running")
        }
        LinkError::Unconnected(inner) => unconnected(&attempt, inner),
        error => Fault::new(Code::Other, format!("Could not {attempt}")).because(error),
    }
}

/// What was to lead out of its network namespace could not be made.
fn unconnected(attempt: &str, inner: Fault) -> Fault {
    let outer = Fault::new(inner.code, format!("Could not {attempt}")).because(inner.message);
    Fault { hint: inner.hint, ..inner.causes.into_iter().fold(outer, Fault::because) }
}

/// A step of the helper that failed.
fn failed(attempt: &str, failure: &Failure) -> Fault {
    let lacking = |what: &str| Fault::new(Code::HostLacks, format!("Could not {attempt}")).because(what);
    let other = |what: &str| Fault::new(Code::Other, format!("Could not {attempt}")).because(what);
    let fault = match failure.step {
        Step::UserNamespace | Step::MapUser => {
            lacking("this host does not let you make a user namespace").hint(USER_NAMESPACES)
        }
        Step::Namespaces | Step::Mounts => {
            lacking("this host does not let you make the namespaces of a capsule").hint(USER_NAMESPACES)
        }
        Step::MountProc => lacking("a new /proc cannot be mounted here").hint(
            "In a container, /proc must not be partly hidden: start it with an unmasked /proc, or run as root on the host",
        ),
        Step::SharedMemory => other("/dev/shm could not be given to it"),
        Step::ClockOffsets => lacking("the clocks of a time namespace cannot be set")
            .hint("A kernel with time namespaces is needed (Linux 5.6, CONFIG_TIME_NS)"),
        Step::NetworkNamespace => no_network(attempt, failure.errno),
        Step::Loopback => other("the loopback interface of its network namespace cannot be switched on"),
        Step::Socket => other("a socket cannot be made in its network namespace"),
        Step::Execute => other("the command cannot be executed"),
        Step::WorkingFolder => other("its working folder cannot be entered"),
        Step::Terminal => other("no pseudo terminal could be set up"),
        Step::Hostname => other("the host name cannot be set"),
        Step::NoSuchDescriptor => other("it has no terminal of its own"),
        Step::NoSuchProcess => other("the process is gone"),
        Step::Translation if failure.errno == Errno::EBUSY.0 => {
            other("another command takes a snapshot of it just now").hint("Try again when that is done")
        }
        Step::Translation if failure.errno == 0 => {
            Fault::new(Code::Internal, format!("Could not {attempt}"))
                .because("this build of stasis does not contain the library that translates ids")
        }
        Step::Translation => other("the table of its virtual ids cannot be set up"),
        Step::Filter => lacking("system calls cannot be sent to the capsule's helper")
            .hint("A kernel with seccomp user notification is needed (Linux 5.19); --interpose library does without"),
        Step::View => other("the view of a volume cannot be mounted"),
        Step::Names => other("the names of its environment cannot be mounted at /etc/hosts"),
        Step::TakeOver => other("its socket cannot be put in the place of the other"),
        Step::Fork => other("a process could not be made"),
        Step::Signal => other("the signal cannot be sent"),
        Step::Load => other("the template's memory could not be filled"),
        Step::Enter => other("a process could not be made in the capsule"),
        Step::Listen | Step::Session | Step::Understand => {
            Fault::new(Code::Internal, format!("Could not {attempt}"))
                .because(format!("the capsule failed at the step {:?}", failure.step))
        }
    };
    match failure.errno {
        0 => fault,
        errno => fault.because(Errno(errno)),
    }
}

/// Why there is no network namespace (unshare(2)).
fn no_network(attempt: &str, errno: i32) -> Fault {
    let (code, why, hint) = match Errno(errno) {
        Errno::EINVAL => (
            Code::HostLacks,
            "this kernel has no network namespaces",
            "A kernel with CONFIG_NET_NS is needed; --network host does without",
        ),
        Errno::ENOSPC => (
            Code::HostLacks,
            "no more network namespaces may be made here",
            "Raise sysctl user.max_net_namespaces, or use --network host",
        ),
        _ => (
            Code::NotPermitted,
            "a network namespace cannot be made",
            "Run as root, allow user namespaces, or use --network host",
        ),
    };
    Fault::new(code, format!("Could not {attempt}")).because(why).hint(hint)
}

const USER_NAMESPACES: &str =
    "Run as root, or allow user namespaces: see \"stasis doctor\" and sysctl user.max_user_namespaces";

/// A file of the application's own state.
pub fn files(attempt: &str) -> impl Fn(std::io::Error) -> Fault + use<> {
    let attempt = attempt.to_owned();
    move |error| {
        let code = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Code::NotPermitted,
            _ => Code::Other,
        };
        Fault::new(code, format!("Could not {attempt}")).because(error)
    }
}
