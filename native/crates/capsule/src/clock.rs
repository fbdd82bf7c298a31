//! Points in time as the state folder writes them.

use std::time::{SystemTime, UNIX_EPOCH};

/// The present, as ISO 8601 in UTC with microseconds: applications are told apart by which came last.
pub fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    iso_8601(since.as_secs(), since.subsec_micros())
}

/// Time since 1970 as `2026-02-03T04:05:06.000007Z`.
fn iso_8601(seconds: u64, microseconds: u32) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{microseconds:06}Z")
}

/// Year, month and day of a day since 1970. Years are counted from March, so that the leap day comes last, in
/// eras of 400 years, which all have the same length.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::iso_8601;

    #[test]
    fn leap_days_and_turns_of_the_year_are_right() {
        assert_eq!(iso_8601(0, 7), "1970-01-01T00:00:00.000007Z");
        assert_eq!(iso_8601(951_782_399, 7), "2000-02-28T23:59:59.000007Z");
        assert_eq!(iso_8601(951_782_400, 7), "2000-02-29T00:00:00.000007Z");
        assert_eq!(iso_8601(1_767_225_599, 7), "2025-12-31T23:59:59.000007Z");
        assert_eq!(iso_8601(4_102_444_800, 7), "2100-01-01T00:00:00.000007Z");
    }
}
