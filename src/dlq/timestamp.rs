//! Moments as people write them: RFC 3339 in UTC, to the millisecond. Pure.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A moment, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

const DAY_MS: i64 = 86_400_000;

impl Timestamp {
    /// The moment `age` ago.
    pub fn ago(age: Duration) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(now.saturating_sub(age).as_millis() as i64)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date(self.0.div_euclid(DAY_MS));
        let ms = self.0.rem_euclid(DAY_MS);
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        let fraction = ms % 1000;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z")
    }
}

/// Not a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a moment such as 2026-01-31T12:00:00Z")]
pub struct NotAMoment;

impl FromStr for Timestamp {
    type Err = NotAMoment;

    /// Reads `2026-01-31T12:00:00Z`, with up to three digits of a second's fraction.
    fn from_str(text: &str) -> Result<Self, NotAMoment> {
        let (day, time) =
            text.strip_suffix('Z').and_then(|it| it.split_once('T')).ok_or(NotAMoment)?;
        let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let time: Vec<&str> = time.split(':').collect();
        let [hour, minute, second] = time[..] else { return Err(NotAMoment) };
        let seconds = number(hour, 23)? * 3600 + number(minute, 59)? * 60 + number(second, 59)?;
        if fraction.len() > 3 {
            return Err(NotAMoment);
        }
        let fraction_ms = number(&format!("{fraction:0<3}"), 999)?;
        Ok(Self(calendar_day(day)? * DAY_MS + seconds * 1000 + fraction_ms))
    }
}

/// Days since the Unix epoch until a day of the calendar, such as `2026-01-31`.
fn calendar_day(text: &str) -> Result<i64, NotAMoment> {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else { return Err(NotAMoment) };
    let (year, month, day) = (number(year, 9999)?, number(month, 12)?, number(day, 31)?);
    let days = days(year, month, day);
    // 30 February would quietly be a day in March.
    if date(days) == (year, month, day) { Ok(days) } else { Err(NotAMoment) }
}

/// Digits alone, up to `max`.
fn number(digits: &str, max: i64) -> Result<i64, NotAMoment> {
    let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|number| all && *number <= max).ok_or(NotAMoment)
}

/// Days since the Unix epoch, by Hinnant's `days_from_civil`: years begin in March, so that the
/// leap day is the last, and repeat every 400 years of 146,097 days.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day: the inverse of [`days`].
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert_eq, proptest};

    use super::*;

    /// Known moments, the leap days of a century and of 400 years among them.
    #[test]
    fn known_moments() {
        for (text, ms) in [
            ("1970-01-01T00:00:00.000Z", 0),
            ("2000-02-29T23:59:59.999Z", 951_868_799_999),
            ("2023-11-14T22:13:20.000Z", 1_700_000_000_000),
            ("2100-03-01T00:00:00.000Z", 4_107_542_400_000),
        ] {
            assert_eq!(Timestamp(ms).to_string(), text);
            assert_eq!(text.parse(), Ok(Timestamp(ms)));
        }
        assert_eq!("2023-11-14T22:13:20Z".parse(), Ok(Timestamp(1_700_000_000_000)));
        assert_eq!("2023-11-14T22:13:20.5Z".parse(), Ok(Timestamp(1_700_000_000_500)));
    }

    /// Anything else is refused.
    #[test]
    fn others_are_refused() {
        for text in [
            "",
            "now",
            "2023-11-14",
            "2023-11-14T22:13:20",
            "2023-13-14T22:13:20Z",
            "2023-11-00T22:13:20Z",
            "2023-02-29T22:13:20Z",
            "2100-02-29T22:13:20Z",
            "2023-11-14T22:13Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(NotAMoment), "{text}");
        }
    }

    proptest! {
        /// What is shown reads back as the same moment.
        #[test]
        fn round_trip(ms in 0..253_402_300_800_000_i64) {
            prop_assert_eq!(Timestamp(ms).to_string().parse(), Ok(Timestamp(ms)));
        }
    }
}
