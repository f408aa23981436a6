//! Questions and answers as bytes, by hickory's codec. Pure.
//!
//! An answer is read record by record and never held as a whole: 64 KB of them are 4,000 addresses, nearly a
//! megabyte as values, and nobody dials more than a few.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{Edns, Header, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, DecodeError};

/// Bytes of an answer that are looked at: some 480 addresses. What comes behind them is not kept.
pub(super) const LONGEST: usize = 8 * 1024;
/// More addresses of one family are of no use to anyone.
const MOST_ADDRESSES: usize = 16;
/// Aliases that one answer may lead through.
const MOST_ALIASES: usize = 32;
/// RFC 6891 §6.2.3; the size that glibc names too.
const EDNS_PAYLOAD: u16 = 1200;

/// A question for the addresses of one family.
#[derive(Debug)]
pub(super) struct Question {
    id: u16,
    query: Query,
    pub(super) bytes: Vec<u8>,
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// There are addresses, for so many seconds.
    Addresses(Vec<IpAddr>, u32),
    /// The name exists without an address of this family. `is_alias`: it is another name for something without one,
    /// which ends a search.
    NoData { is_alias: bool, negative: Option<u32> },
    /// There is no such name.
    NoName { negative: Option<u32> },
    /// The rest of it is to be had over TCP.
    Truncated,
    /// The server cannot or will not say.
    Rejected(&'static str),
}

impl Question {
    /// About `name`, whose labels are asked for as they are.
    pub(super) fn new(name: &str, family: RecordType, edns: bool) -> Option<Self> {
        let name = Name::from_labels(name.split('.').map(str::as_bytes)).ok()?;
        let query = Query::query(name, family);
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(query.clone());
        if edns {
            let mut edns = Edns::new();
            edns.set_max_payload(EDNS_PAYLOAD);
            message.set_edns(edns);
        }
        Some(Self { id: message.metadata.id, query, bytes: message.to_vec().ok()? })
    }

    /// `A` or `AAAA`.
    pub(super) fn family(&self) -> RecordType {
        self.query.query_type
    }

    /// What the first [`LONGEST`] bytes of a message say; None if it is no answer to this question.
    pub(super) fn answer(&self, bytes: &[u8]) -> Option<Reply> {
        let decoder = &mut BinDecoder::new(bytes);
        let header = Header::read(decoder).ok()?;
        let is_ours = header.metadata.id == self.id && header.metadata.message_type == MessageType::Response;
        if !is_ours || header.counts.queries != 1 || Query::read(decoder).ok()? != self.query {
            return None;
        }
        Some(self.said(header, decoder, bytes.len() >= LONGEST))
    }

    fn said(&self, header: Header, decoder: &mut BinDecoder<'_>, is_cut: bool) -> Reply {
        let Header { metadata, counts, .. } = header;
        if metadata.truncation {
            return Reply::Truncated;
        }
        let mut records = Records::default();
        let read = records.read(decoder, counts.answers, self.query.query_type);
        let addresses = records.lead_from(&self.query.name);
        match metadata.response_code {
            ResponseCode::NoError if !addresses.is_empty() => Reply::Addresses(addresses, records.ttl),
            _ if read.is_err() => Reply::Rejected(if is_cut { "an answer that is too long" } else { "nonsense" }),
            ResponseCode::NoError if counts.answers == 0 && is_lame(&header) => Reply::Rejected("a referral"),
            ResponseCode::NoError => {
                let negative = negative(decoder, counts.authorities);
                Reply::NoData { is_alias: counts.answers > 0, negative }
            }
            ResponseCode::NXDomain => Reply::NoName { negative: negative(decoder, counts.authorities) },
            ResponseCode::ServFail => Reply::Rejected("SERVFAIL"),
            ResponseCode::Refused => Reply::Rejected("REFUSED"),
            ResponseCode::NotImp => Reply::Rejected("NOTIMP"),
            ResponseCode::FormErr => Reply::Rejected("FORMERR"),
            _ => Reply::Rejected("an error"),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addresses(addresses, ttl) => {
                let shown: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                write!(f, "{} for {ttl} s", shown.join(", "))
            }
            Self::NoData { is_alias: true, .. } => f.write_str("an alias of what has no such address"),
            Self::NoData { .. } => f.write_str("no such address"),
            Self::NoName { .. } => f.write_str("no such name"),
            Self::Truncated => f.write_str("more over TCP"),
            Self::Rejected(said) => f.write_str(said),
        }
    }
}

/// Whether a server without an answer only knows others that might have one.
fn is_lame(header: &Header) -> bool {
    let Header { metadata, counts, .. } = header;
    !metadata.authoritative && !metadata.recursion_available && counts.additionals == 0
}

/// What of an answer section may matter.
#[derive(Default)]
struct Records {
    aliases: Vec<(Name, Name)>,
    addresses: Vec<(Name, IpAddr)>,
    ttl: u32,
}

impl Records {
    fn read(&mut self, decoder: &mut BinDecoder<'_>, count: u16, family: RecordType) -> Result<(), DecodeError> {
        self.ttl = u32::MAX;
        for _ in 0..count {
            let Record { name, kind, class, ttl, data, at } = Record::read(decoder)?;
            match kind {
                _ if class != DNSClass::IN => continue,
                RecordType::CNAME if self.aliases.len() < MOST_ALIASES => {
                    self.aliases.push((name, Name::read(&mut decoder.clone(at))?));
                }
                kind if kind == family && self.addresses.len() < MOST_ADDRESSES => {
                    self.addresses.extend(address(data, family).map(|ip| (name, ip)));
                }
                _ => continue,
            }
            self.ttl = self.ttl.min(ttl);
        }
        Ok(())
    }

    /// The addresses that `name` leads to, by way of its aliases. A loop of them leads nowhere.
    fn lead_from(&self, name: &Name) -> Vec<IpAddr> {
        let mut name = name;
        for _ in 0..=MOST_ALIASES {
            let Some((_, target)) = self.aliases.iter().find(|(alias, _)| alias == name) else { break };
            name = target;
        }
        self.addresses.iter().filter(|(owner, _)| owner == name).map(|(_, ip)| *ip).collect()
    }
}

fn address(data: &[u8], family: RecordType) -> Option<IpAddr> {
    match family {
        RecordType::A => <[u8; 4]>::try_from(data).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
        _ => <[u8; 16]>::try_from(data).ok().map(|bytes| Ipv6Addr::from(bytes).into()),
    }
}

/// RFC 2308 §5: how long it may be remembered that there is nothing, by the zone's SOA.
fn negative(decoder: &mut BinDecoder<'_>, count: u16) -> Option<u32> {
    for _ in 0..count {
        let Record { kind, ttl, data, .. } = Record::read(decoder).ok()?;
        if kind == RecordType::SOA {
            let minimum = data.last_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))?;
            return Some(ttl.min(minimum));
        }
    }
    None
}

/// A record whose data is not looked into.
struct Record<'d> {
    name: Name,
    kind: RecordType,
    class: DNSClass,
    ttl: u32,
    data: &'d [u8],
    /// Where `data` stands in the message.
    at: u16,
}

impl<'d> Record<'d> {
    fn read(decoder: &mut BinDecoder<'d>) -> Result<Self, DecodeError> {
        let name = Name::read(decoder)?;
        let kind = RecordType::from(decoder.read_u16()?.unverified());
        let class = DNSClass::from(decoder.read_u16()?.unverified());
        let ttl = decoder.read_u32()?.unverified();
        let length = usize::from(decoder.read_u16()?.unverified());
        let at = u16::try_from(decoder.index()).map_err(|_| DecodeError::InsufficientBytes)?;
        let data = decoder.read_slice(length)?.unverified();
        Ok(Self { name, kind, class, ttl, data, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer to `question` in pieces: flags, counts of answers and authorities, and these records.
    pub(crate) fn reply(question: &Question, flags: u16, counts: [u16; 2], records: &[u8]) -> Vec<u8> {
        let asked = &question.bytes;
        let mut reply = asked[..2].to_vec();
        reply.extend(flags.to_be_bytes());
        reply.extend([0, 1]);
        counts.iter().for_each(|count| reply.extend(count.to_be_bytes()));
        reply.extend([0, 0]);
        reply.extend(&asked[12..]);
        reply.extend(records);
        reply
    }

    fn record(owner: &[u8], kind: u8, ttl: u32, data: &[u8]) -> Vec<u8> {
        let head = [owner, &[0, kind, 0, 1], &ttl.to_be_bytes(), &[0, u8::try_from(data.len()).unwrap()]];
        [&head.concat(), data].concat()
    }

    const ASKED: &[u8] = b"\xc0\x0c";
    const OK: u16 = 0x8180;

    fn question() -> Question {
        Question::new("a_b.xn--zz-.test", RecordType::A, false).unwrap()
    }

    fn said(flags: u16, counts: [u16; 2], records: &[Vec<u8>]) -> Option<Reply> {
        let question = question();
        question.answer(&reply(&question, flags, counts, &records.concat()))
    }

    #[test]
    fn labels_are_asked_for_as_they_are() {
        assert_eq!(&question().bytes[12..], b"\x03a_b\x07xn--zz-\x04test\0\0\x01\0\x01");
        assert!(Question::new(&"a".repeat(64), RecordType::A, false).is_none());
    }

    #[test]
    fn addresses_of_the_name_and_its_aliases() {
        let one = record(ASKED, 1, 60, &[10, 0, 0, 1]);
        assert_eq!(said(OK, [1, 0], &[one]), Some(Reply::Addresses(vec![[10, 0, 0, 1].into()], 60)));
        let alias = record(ASKED, 5, 30, b"\x01c\0");
        let there = record(b"\x01c\0", 1, 60, &[10, 0, 0, 2]);
        let strange = record(b"\x01x\0", 1, 60, &[10, 0, 0, 3]);
        let led = Some(Reply::Addresses(vec![[10, 0, 0, 2].into()], 30));
        assert_eq!(said(OK, [3, 0], &[alias.clone(), strange.clone(), there.clone()]), led);
        assert_eq!(said(OK, [2, 0], &[there, alias.clone()]), led, "in any order");
        let none = Some(Reply::NoData { is_alias: true, negative: None });
        assert_eq!(said(OK, [2, 0], &[alias, strange]), none);
    }

    #[test]
    fn a_chain_of_twenty_leads_somewhere_and_a_loop_nowhere() {
        let label = |n: u8| [1, b'a' + n, 0];
        let mut chain = vec![record(ASKED, 5, 60, &label(0))];
        chain.extend((0..20).map(|n| record(&label(n), 5, 60, &label(n + 1))));
        let count = u16::try_from(chain.len()).unwrap();
        let end = record(&label(20), 1, 60, &[10, 0, 0, 1]);
        let led = said(OK, [count + 1, 0], &[chain.concat(), end]);
        assert_eq!(led, Some(Reply::Addresses(vec![[10, 0, 0, 1].into()], 60)));
        chain.push(record(&label(20), 5, 60, &label(0)));
        let looped = said(OK, [count + 1, 0], &chain);
        assert_eq!(looped, Some(Reply::NoData { is_alias: true, negative: None }));
    }

    #[test]
    fn nothing_lasts_as_long_as_the_zone_says() {
        let soa = |ttl, minimum: u32| {
            let data = [b"\x01n\0\x01r\0" as &[u8], &[0; 16], &minimum.to_be_bytes()].concat();
            record(b"\x04test\0", 6, ttl, &data)
        };
        assert_eq!(said(OK | 3, [0, 1], &[soa(60, 20)]), Some(Reply::NoName { negative: Some(20) }));
        assert_eq!(said(OK, [0, 1], &[soa(7, 20)]), Some(Reply::NoData { is_alias: false, negative: Some(7) }));
        assert_eq!(said(OK, [0, 0], &[]), Some(Reply::NoData { is_alias: false, negative: None }));
    }

    #[test]
    fn what_is_no_answer() {
        assert_eq!(said(OK | 2, [0, 0], &[]), Some(Reply::Rejected("SERVFAIL")));
        assert_eq!(said(0x8100, [0, 0], &[]), Some(Reply::Rejected("a referral")));
        assert_eq!(said(OK | 0x200, [0, 0], &[]), Some(Reply::Truncated));
        assert_eq!(said(OK, [3, 0], &[b"\xc0\x2e\0".to_vec()]), Some(Reply::Rejected("nonsense")));
        assert_eq!(said(0x0180, [0, 0], &[]), None, "a question");
        let (question, other) = (question(), Question::new("b.test", RecordType::A, false).unwrap());
        let mut reply = reply(&question, OK, [0, 0], &[]);
        assert_eq!(other.answer(&reply), None, "another question");
        reply[0] ^= 1;
        assert_eq!(question.answer(&reply), None, "another number");
        for end in 0..reply.len() {
            assert_eq!(question.answer(&reply[..end]), None);
        }
    }

    #[test]
    fn of_many_addresses_the_first_are_kept() {
        let one = record(ASKED, 1, 60, &[10, 0, 0, 1]);
        let (question, many) = (question(), vec![one; 4000].concat());
        let mut reply = reply(&question, OK, [4000, 0], &many);
        reply.truncate(LONGEST);
        assert!(matches!(question.answer(&reply), Some(Reply::Addresses(some, 60)) if some.len() == MOST_ADDRESSES));
    }
}
