//! What taking a snapshot needs of the kernel.

use super::{Check, text_of};
use sys::probe;

pub fn checks() -> Vec<Check> {
    vec![
        kernel(),
        Check::call("ptrace", probe::trace_child(), "tracing one's own processes")
            .required()
            .otherwise("no process can be captured")
            .fix("allow ptrace in the security profile of this container"),
        ptrace_scope(),
        Check::call("pidfd_getfd", probe::pidfd_getfd(), "Linux 5.6")
            .required()
            .otherwise("no open file can be captured"),
        Check::call("kcmp", probe::kcmp(), "a kernel with CONFIG_KCMP")
            .required()
            .otherwise("shared files cannot be told from files that were opened twice"),
        Check::call("seccomp listener", probe::seccomp_listener(), "Linux 5.19")
            .otherwise("--ids translate sees no static programs, and needs --interpose library"),
    ]
}

fn kernel() -> Check {
    let release = text_of("/proc/sys/kernel/osrelease");
    Check::new("kernel", version(&release) >= (5, 10), release, "Linux 5.10")
        .required()
        .otherwise("neither snapshot nor restore works")
        .fix("install a newer kernel")
}

/// Yama's rule about who may trace whom (Documentation/admin-guide/LSM/Yama.rst); no file means no rule.
fn ptrace_scope() -> Check {
    let scope = text_of("/proc/sys/kernel/yama/ptrace_scope");
    let found = match scope.as_str() {
        "" => "no Yama".to_owned(),
        scope => format!("kernel.yama.ptrace_scope = {scope}"),
    };
    let ok = match scope.as_str() {
        "" | "0" => true,
        "3" => false,
        _ => super::privileges::has(super::privileges::SYS_PTRACE),
    };
    Check::new("ptrace scope", ok, found, "0, or CAP_SYS_PTRACE and at most 2")
        .otherwise("processes that stasis did not start cannot be captured with --pid")
        .fix("sysctl kernel.yama.ptrace_scope=0, or run stasis as root")
}

/// Major and minor number of a kernel release such as `6.1.0-18-amd64`.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn version_reads_distribution_releases() {
        assert_eq!(version("6.1.0-18-amd64"), (6, 1));
        assert_eq!(version("5.10"), (5, 10));
        assert_eq!(version(""), (0, 0));
        assert!(version("5.4.0") < (5, 10));
    }
}
