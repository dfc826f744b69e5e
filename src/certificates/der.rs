//! The two fields of an X.509 certificate that people are told (RFC 5280 §4.1): whose it is, and when it ends.
//!
//! Nothing is verified here, and nothing is trusted for it: TLS does its own reading.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const BMP_STRING: u8 = 0x1e;
/// Attributes of a name that are shown: 2.5.4.x.
const ATTRIBUTES: [(u8, &str); 6] = [(3, "CN"), (6, "C"), (7, "L"), (8, "ST"), (10, "O"), (11, "OU")];

/// Subject, and last second of the validity since 1970; `None` if this is no certificate.
pub(super) fn subject_and_end(certificate: &[u8]) -> Option<(String, i64)> {
    let mut fields = Der(Der(Der(certificate).expect(SEQUENCE)?).expect(SEQUENCE)?);
    fields.skip_if(VERSION);
    // Serial number, algorithm, issuer.
    (0..3).try_for_each(|_| fields.next().map(drop))?;
    let mut validity = Der(fields.expect(SEQUENCE)?);
    let _not_before = validity.next()?;
    let not_after = validity.next()?;
    let subject = subject(fields.expect(SEQUENCE)?)?;
    Some((subject, seconds(not_after)?))
}

/// What is left of a run of DER elements.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next element: its tag and its content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            // No certificate has four GiB.
            let length = bytes.iter().try_fold(0_u32, |n, b| Some(n.checked_mul(256)? + u32::from(*b)))?;
            (usize::try_from(length).ok()?, rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The content of the next element, if that has this tag.
    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }

    fn skip_if(&mut self, tag: u8) {
        if self.0.first() == Some(&tag) {
            let _ = self.next();
        }
    }
}

/// `CN=name, O=organisation`, in the order of the certificate.
fn subject(name: &[u8]) -> Option<String> {
    let mut shown = Vec::new();
    let mut sets = Der(name);
    while !sets.0.is_empty() {
        let mut attributes = Der(sets.expect(SET)?);
        while !attributes.0.is_empty() {
            let mut attribute = Der(attributes.expect(SEQUENCE)?);
            let kind = attribute.expect(OBJECT_IDENTIFIER)?;
            let (tag, value) = attribute.next()?;
            let known = |(last, _): &&(u8, &str)| kind == [0x55, 0x04, *last];
            shown.extend(ATTRIBUTES.iter().find(known).map(|(_, word)| format!("{word}={}", text(tag, value))));
        }
    }
    Some(if shown.is_empty() { "a certificate without a name".to_owned() } else { shown.join(", ") })
}

fn text(tag: u8, value: &[u8]) -> String {
    let text = if tag == BMP_STRING {
        let units: Vec<u16> = value.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
        String::from_utf16_lossy(&units)
    } else {
        String::from_utf8_lossy(value).into_owned()
    };
    text.replace(char::is_control, "?")
}

/// A time as RFC 5280 §4.1.2.5 has it: UTC, with seconds.
fn seconds((tag, text): (u8, &[u8])) -> Option<i64> {
    let digits = text.strip_suffix(b"Z")?;
    let number = |at: usize| Some(i16::from(digit(digits, at)?) * 10 + i16::from(digit(digits, at + 1)?));
    let (year, at) = match tag {
        UTC_TIME if digits.len() == 12 => (number(0).map(|y| if y < 50 { 2000 + y } else { 1900 + y })?, 2),
        GENERALIZED_TIME if digits.len() == 14 => (number(0)? * 100 + number(2)?, 4),
        _ => return None,
    };
    let field = |n: usize| i8::try_from(number(at + 2 * n)?).ok();
    let date = DateTime::new(year, field(0)?, field(1)?, field(2)?, field(3)?, field(4)?, 0).ok()?;
    TimeZone::UTC.to_timestamp(date).ok().map(|t| t.as_second())
}

fn digit(text: &[u8], at: usize) -> Option<u8> {
    text.get(at).filter(|b| b.is_ascii_digit()).map(|b| b - b'0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair, date_time_ymd};

    fn certificate(year: i32, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.not_after = date_time_ymd(year, 1, 1);
        change(&mut params);
        params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate").der().to_vec()
    }

    #[test]
    fn both_kinds_of_time_and_every_kind_of_name_are_read() {
        // UTCTime up to 2049, GeneralizedTime from 2050 on.
        for (year, end) in [(2049, 2_493_072_000), (2050, 2_524_608_000)] {
            let der = certificate(year, |params| {
                let name = &mut params.distinguished_name;
                name.push(DnType::CountryName, "DE");
                name.push(DnType::OrganizationName, "Größe");
                name.push(DnType::CommonName, DnValue::BmpString("根\n".try_into().expect("fits")));
                name.push(DnType::CustomDnType(vec![2, 5, 4, 99]), "not shown");
            });
            assert_eq!(subject_and_end(&der), Some(("C=DE, O=Größe, CN=根?".to_owned(), end)));
        }
        let nameless = certificate(2030, |_| {});
        assert_eq!(subject_and_end(&nameless), Some(("a certificate without a name".to_owned(), 1_893_456_000)));
    }

    #[test]
    fn what_is_cut_short_is_no_certificate_and_nothing_panics() {
        let der = certificate(2030, |params| params.distinguished_name.push(DnType::CommonName, "x"));
        for end in 0..der.len() {
            assert_eq!(subject_and_end(&der[..end]), None, "{end} of {}", der.len());
        }
        for at in 0..der.len() {
            let mut broken = der.clone();
            broken[at] ^= 0xff;
            let _ = subject_and_end(&broken);
        }
    }
}
