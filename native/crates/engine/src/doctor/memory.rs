//! What finding, tracking and sharing memory needs of the kernel.

use super::{Check, text_of};
use std::fs::File;
use std::os::unix::fs::FileExt;
use sys::probe;

/// UFFD_FEATURE_WP_ASYNC of linux/userfaultfd.h: write protection that the kernel resolves itself. Linux 6.7.
const WP_ASYNC: u64 = 1 << 15;
const PAGE: usize = 4096;

pub fn checks() -> Vec<Check> {
    vec![
        Check::call("PAGEMAP_SCAN", probe::pagemap_scan(), "Linux 6.7")
            .otherwise("finding the pages to save takes longer"),
        userfaultfd(),
        soft_dirty(),
        transparent_huge_pages(),
        huge_pages(),
    ]
}

fn userfaultfd() -> Check {
    let answer = probe::userfaultfd();
    let tracks = answer.is_ok_and(|features| features & WP_ASYNC != 0);
    let found = match answer {
        Err(error) => error.to_string(),
        Ok(_) if tracks => "works, with asynchronous write protection".to_owned(),
        Ok(_) => "works, without asynchronous write protection".to_owned(),
    };
    Check::new("userfaultfd", tracks, found, "asynchronous write protection (Linux 6.7)")
        .otherwise("memory cannot be tracked or loaded lazily; every snapshot is a full one")
}

fn soft_dirty() -> Check {
    let marked = fresh_page_is_soft_dirty().unwrap_or(false);
    Check::new(
        "soft-dirty",
        marked,
        if marked { "works" } else { "not compiled in" },
        "CONFIG_MEM_SOFT_DIRTY",
    )
    .otherwise("nothing is lost where userfaultfd tracks writes")
}

/// Bit 55 of a page's word in pagemap (Documentation/admin-guide/mm/pagemap.rst): set for memory that was just
/// written, unless the kernel does not keep it.
fn fresh_page_is_soft_dirty() -> std::io::Result<bool> {
    let memory = vec![1u8; 2 * PAGE];
    let page = (memory.as_ptr() as usize).div_ceil(PAGE);
    let mut word = [0u8; 8];
    File::open("/proc/self/pagemap")?.read_exact_at(&mut word, page as u64 * 8)?;
    Ok(u64::from_ne_bytes(word) >> 55 & 1 == 1)
}

fn transparent_huge_pages() -> Check {
    let modes = text_of("/sys/kernel/mm/transparent_hugepage/enabled");
    let mode = modes.split(['[', ']']).nth(1).unwrap_or("absent").to_owned();
    let ok = mode == "always" || mode == "madvise";
    Check::new("transparent huge pages", ok, mode, "always or madvise")
        .otherwise("memory is restored in small pages, which takes longer")
        .fix("echo madvise > /sys/kernel/mm/transparent_hugepage/enabled")
}

fn huge_pages() -> Check {
    let meminfo = text_of("/proc/meminfo");
    let free = meminfo.lines().find_map(|line| line.strip_prefix("HugePages_Free:")).map(str::trim);
    let found = free.map_or_else(|| "not compiled in".to_owned(), |count| format!("{count} free"));
    Check::new("hugetlb pages", free.is_some_and(|count| count != "0"), found, "some free")
        .otherwise("applications with reserved huge pages cannot be restored")
        .fix("sysctl vm.nr_hugepages=N, if an application uses them")
}
