//! When something happened, as values: the core has no clock.

/// A local date and time, and how far it is from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    utc_offset_minutes: i16,
}

impl Moment {
    /// `None` where a part is out of its range. The second 60 is allowed: leap seconds exist.
    pub fn new(date: (u16, u8, u8), time: (u8, u8, u8), utc_offset_minutes: i16) -> Option<Self> {
        let ((year, month, day), (hour, minute, second)) = (date, time);
        let sound = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second <= 60
            && utc_offset_minutes.unsigned_abs() <= 14 * 60;
        sound.then_some(Self { year, month, day, hour, minute, second, utc_offset_minutes })
    }

    /// VR DA, local: `20200131`.
    pub fn date(&self) -> String {
        format!("{:04}{:02}{:02}", self.year, self.month, self.day)
    }

    /// VR TM, local: `235959`.
    pub fn time(&self) -> String {
        format!("{:02}{:02}{:02}", self.hour, self.minute, self.second)
    }

    /// VR DT with its offset: `20200131235959+0800`.
    pub fn date_time(&self) -> String {
        let (sign, hours, minutes) = self.offset();
        format!("{}{}{sign}{hours:02}{minutes:02}", self.date(), self.time())
    }

    /// RFC 3339, as FHIR's `instant`: `2020-01-31T23:59:59+08:00`.
    pub fn rfc_3339(&self) -> String {
        let (sign, hours, minutes) = self.offset();
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{sign}{hours:02}:{minutes:02}",
            self.year, self.month, self.day, self.hour, self.minute, self.second
        )
    }

    fn offset(&self) -> (char, u16, u16) {
        let minutes = self.utc_offset_minutes.unsigned_abs();
        (if self.utc_offset_minutes < 0 { '-' } else { '+' }, minutes / 60, minutes % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_each_standard_wants_it() {
        let at = Moment::new((2020, 1, 31), (23, 5, 9), 8 * 60).unwrap();
        assert_eq!((at.date().as_str(), at.time().as_str()), ("20200131", "230509"));
        assert_eq!(at.date_time(), "20200131230509+0800");
        assert_eq!(at.rfc_3339(), "2020-01-31T23:05:09+08:00");
        assert!(Moment::new((2020, 1, 31), (0, 0, 0), -210).unwrap().rfc_3339().ends_with("-03:30"));
    }

    #[test]
    fn what_is_out_of_range_is_no_moment() {
        for (date, time, offset) in [
            ((0, 1, 1), (0, 0, 0), 0),
            ((2020, 13, 1), (0, 0, 0), 0),
            ((2020, 1, 1), (24, 0, 0), 0),
            ((2020, 1, 1), (0, 0, 0), 841),
        ] {
            assert_eq!(Moment::new(date, time, offset), None);
        }
    }
}
