//! The index's description in a short text: one grammar, one parser, printed back.
//!
//! ```text
//! spec   = { transform "," } kind  |  transform { "," transform }
//! transform = "norm" | "rotate" | ( "pca" | "pcaw" ) [ directions ] | "opq" groups [ "_" directions ]
//! kind   = "auto" | "flat" | "flat-raw" | "graph" [ degree ] [ ",sq8" [ "," rerank ] ]
//!        | [ ivf "," ] code [ "," rerank ]  |  ivf [ "," rerank ]
//! ivf    = "ivf" [ lists ] [ "x2" ]
//! code   = ( "rabitq" | "lvq" | "sq" ) bits | "pq" parts "x" ( "4" | "8" )
//! rerank = "rerank" [ "-" ( "f32" | "f16" | "bf16" | "i8" ) ]
//! ```
//!
//! `"f16"` and `"bf16"` in the place of a code are the fast one, with vectors stored in that type.

use std::str::FromStr;

use super::spec::{Kind, Lists, Rerank, STEPS, Spec};
use crate::error::{Error, Result};
use crate::quantizer::product::Product;
use crate::quantizer::scalar::Scalar;
use crate::quantizer::{Coding, Step};
use crate::transform::{Transform, Transforms};
use crate::vectors::{Dtype, MAX_DIM};

/// What is wrong with a part of a text, and from which character of it on.
struct Wrong {
    at: usize,
    problem: &'static str,
    expected: &'static str,
}

type Parsed<T> = std::result::Result<T, Wrong>;

const KINDS: &str = "\"auto\", \"flat\", \"flat-raw\", \"graph\" with or without a degree (\"graph64\") and \",sq8\", \"ivf\" with or without a number \
                     of lists (\"ivf4096\"), or a code: \"rabitq4\", \"lvq8\", \"sq8\", \"pq64x4\", \"pq16x8\", \"f16\", \"bf16\"; before it \
                     \"norm\", \"rotate\", \"pca64\", \"pcaw64\" or \"opq16_64\" and a comma";
const CODES: &str =
    "a code, as \"rabitq4\", \"lvq8\", \"sq8\", \"pq64x4\", \"pq16x8\", \"f16\" or \"bf16\", or \"rerank\"";
const SQ8: &str = "\"sq8\", with or without \",rerank\" after it";
const RERANK: &str = "\"rerank\", \"rerank-f32\", \"rerank-f16\" or \"rerank-bf16\", or \"rerank-i8\" after \"rabitq1\" or \"pq64x4\"";
const DEGREES: &str = "a multiple of 32 up to 256, as in \"graph64\"";
const COUNTS: &str =
    "1 to 16,777,216 lists, as in \"ivf4096\", or \"ivf4096x2\" with each vector in two of them";
const BITS: &str = "1 to 8 bits, as in \"rabitq4\"";
const DIRECTIONS: &str = "1 to 65,536 directions, as in \"pca64\"";
const GROUPS: &str =
    "1 to 65,536 groups, and directions that are a multiple of them, as in \"opq16\" or \"opq16_64\"";
const PARTS: &str = "1 to 512 codes of 4 or 8 bits, as in \"pq64x4\" or \"pq16x8\"";

/// The number after `name`, nothing where there is none; another outcome where `text` is something else.
fn number(
    text: &str,
    name: &str,
    expected: &'static str,
    fits: impl Fn(usize) -> bool,
) -> Option<Parsed<Option<usize>>> {
    let digits = text.strip_prefix(name)?;
    if digits.is_empty() {
        return Some(Ok(None));
    }
    digits.starts_with(|c: char| c.is_ascii_digit()).then(|| {
        let number = digits.parse().ok().filter(|&number| fits(number));
        number.map(Some).ok_or(Wrong { at: name.len(), problem: "no such number", expected })
    })
}

/// A code; nothing where `text` is something else.
fn coding(text: &str) -> Option<Parsed<Coding>> {
    let needed = |at, problem, expected| Err(Wrong { at, problem, expected });
    for (name, step) in STEPS {
        if let Some(bits) = number(text, name, BITS, |bits| (1..=Scalar::MOST).contains(&bits)) {
            return Some(bits.and_then(|bits| match bits {
                Some(bits) => Ok(Coding::Scalar { step, bits }),
                None => needed(text.len(), "the bits are missing", BITS),
            }));
        }
    }
    text.strip_prefix("pq")?;
    let known = [("x4", 4), ("x8", 8)].iter().find_map(|(end, bits)| Some((text.strip_suffix(end)?, *bits)));
    let Some((before, bits)) = known else {
        return Some(needed(text.len(), "not the end of such a code", PARTS));
    };
    let parts = number(before, "pq", PARTS, |parts| (1..=Product::MOST).contains(&parts))?;
    Some(parts.and_then(|parts| match parts {
        Some(parts) => Ok(Coding::Product { parts, bits }),
        None => needed("pq".len(), "the number of codes is missing", PARTS),
    }))
}

/// Types that vectors are stored in.
const TYPES: [(&str, Dtype); 3] = [("f32", Dtype::F32), ("f16", Dtype::F16), ("bf16", Dtype::Bf16)];

/// What is stored besides a code; nothing where `text` is something else.
fn rerank(text: &str, coding: Coding) -> Option<Parsed<Rerank>> {
    let dtype = text.strip_prefix("rerank")?;
    if dtype.is_empty() {
        return Some(Ok(Rerank::Exact));
    }
    let wrong = |problem| Err(Wrong { at: "rerank".len(), problem, expected: RERANK });
    let dtype = dtype.strip_prefix('-').unwrap_or("");
    let found = TYPES.iter().find(|(name, _)| *name == dtype);
    Some(match found {
        Some(&(_, dtype)) => Ok(Rerank::As(dtype)),
        None if dtype != "i8" => wrong("no such type to store vectors in"),
        None if coding.is_coarse() => Ok(Rerank::Bytes),
        None => wrong("the code has further bits of its own"),
    })
}

/// The kinds that are parts with commas between them.
fn parts(text: &str) -> Parsed<Kind> {
    let moved = |at: usize| move |wrong: Wrong| Wrong { at: at + wrong.at, ..wrong };
    let mut parts = text.split(',').scan(0, |at, part| {
        let from = *at;
        *at += part.len() + 1;
        Some((from, part))
    });
    let (_, first) = parts.next().unwrap_or_default();
    // A vector in two lists.
    let once = first.strip_suffix("x2").filter(|once| once.starts_with("ivf"));
    let lists = number(once.unwrap_or(first), "ivf", COUNTS, |count| (1..=Kind::MAX_LISTS).contains(&count));
    let (lists, mut next) = match lists {
        Some(count) => (count?.map_or(Lists::Suited, Lists::Count), parts.next()),
        None => (Lists::One, Some((0, first))),
    };
    let stored = next.and_then(|(_, part)| TYPES[1..].iter().find(|(name, _)| *name == part));
    let found = next.and_then(|(at, part)| coding(part).map(|coding| coding.map_err(moved(at))));
    let coding = match (found, lists) {
        (Some(coding), _) => {
            next = parts.next();
            Some(coding?)
        }
        (None, Lists::One) if stored.is_none() => {
            return Err(Wrong { at: shared(text), problem: "unknown kind of index", expected: KINDS });
        }
        (None, _) => None,
    };
    let rerank = match (stored, next) {
        (Some(&(_, dtype)), _) => Some(Rerank::As(dtype)),
        (None, Some((at, part))) => {
            let expected = if coding.is_some() { RERANK } else { CODES };
            let other = Wrong { at: 0, problem: "unknown part", expected };
            let found = rerank(part, coding.unwrap_or(Kind::CODING));
            Some(found.unwrap_or(Err(other)).map_err(moved(at))?)
        }
        (None, None) => None,
    };
    if let Some((at, _)) = parts.next() {
        return Err(Wrong { at, problem: "nothing may follow", expected: "the end" });
    }
    // Where neither is named it is the fast one; where a code is, that is all.
    let rerank = rerank.unwrap_or(if coding.is_some() { Rerank::No } else { Rerank::Exact });
    Ok(Kind::Codes { lists, twice: once.is_some(), coding: coding.unwrap_or(Kind::CODING), rerank })
}

/// The first character that no known kind shares with the text.
fn shared(text: &str) -> usize {
    let names = Kind::NAMES
        .iter()
        .map(|(name, _)| *name)
        .chain(["ivf", "rabitq", "lvq", "sq", "pq", "f16", "bf16", "norm", "rotate", "pcaw", "opq"]);
    names.map(|name| name.chars().zip(text.chars()).take_while(|(a, b)| a == b).count()).max().unwrap_or(0)
}

/// A kind of index.
fn kind(text: &str) -> Parsed<Kind> {
    if let Some((_, kind)) = Kind::NAMES.iter().find(|(name, _)| *name == text) {
        return Ok(*kind);
    }
    let (name, rest) = text.split_once(',').map_or((text, None), |(name, rest)| (name, Some(rest)));
    let Some(degree) = number(name, "graph", DEGREES, Kind::has_degree) else { return parts(text) };
    let degree = degree?.unwrap_or(Kind::DEGREE);
    let moved = |wrong: Wrong| Wrong { at: name.len() + 1 + wrong.at, ..wrong };
    Ok(Kind::Graph { degree, sq8: rest.map(sq8).transpose().map_err(moved)? })
}

/// What follows a graph.
fn sq8(text: &str) -> Parsed<Rerank> {
    const CODING: Coding = Coding::Scalar { step: Step::Sq, bits: 8 };
    let (code, rest) = text.split_once(',').map_or((text, None), |(code, rest)| (code, Some(rest)));
    if code != "sq8" {
        return Err(Wrong { at: 0, problem: "unknown part", expected: SQ8 });
    }
    let Some(rest) = rest else { return Ok(Rerank::No) };
    let other = Wrong { at: 0, problem: "unknown part", expected: RERANK };
    let found = rerank(rest, CODING).unwrap_or(Err(other));
    found.map_err(|wrong| Wrong { at: code.len() + 1 + wrong.at, ..wrong })
}

/// A transform; nothing where `text` is something else.
fn transform(text: &str) -> Option<Parsed<Transform>> {
    let fits = |dim| (1..=MAX_DIM).contains(&dim);
    match text {
        "norm" => return Some(Ok(Transform::Norm)),
        "rotate" => return Some(Ok(Transform::Rotate)),
        _ => {}
    }
    for (name, whiten) in [("pca", false), ("pcaw", true)] {
        if let Some(dim) = number(text, name, DIRECTIONS, fits) {
            return Some(dim.map(|dim| Transform::Pca { dim, whiten }));
        }
    }
    let (groups, dim) = text.split_once('_').map_or((text, None), |(groups, dim)| (groups, Some(dim)));
    let parts = number(groups, "opq", GROUPS, fits)?;
    let dim = dim.map(|dim| {
        let wrong = Wrong { at: groups.len() + 1, problem: "no such number", expected: GROUPS };
        let digits = dim.starts_with(|c: char| c.is_ascii_digit());
        dim.parse().ok().filter(|&dim| digits && fits(dim)).ok_or(wrong)
    });
    let missing = Wrong { at: text.len(), problem: "the number of groups is missing", expected: GROUPS };
    Some(parts.and_then(|parts| Ok(Transform::Opq { parts: parts.ok_or(missing)?, dim: dim.transpose()? })))
}

fn spec(text: &str) -> Parsed<Spec> {
    let moved = |at: usize| move |wrong: Wrong| Wrong { at: at + wrong.at, ..wrong };
    let mut transforms = Transforms::default();
    let mut at = 0;
    while let Some(found) = text[at..].split(',').next().and_then(transform) {
        let many = Wrong { at, problem: "a transform more", expected: "at most four of them" };
        transforms = transforms.and(found.map_err(moved(at))?).ok_or(many)?;
        match text[at..].find(',') {
            Some(comma) => at += comma + 1,
            None => return Ok(Spec { transforms, kind: Kind::Auto }),
        }
    }
    Ok(Spec { transforms, kind: kind(&text[at..]).map_err(moved(at))? })
}

impl FromStr for Spec {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        spec(text).map_err(|Wrong { at, problem, expected }| Error::Spec {
            spec: text.to_owned(),
            position: at,
            problem,
            expected,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spec_is_printed_as_it_is_parsed() {
        for text in [
            "auto",
            "flat",
            "flat-raw",
            "graph",
            "graph64",
            "graph256",
            "graph,sq8",
            "graph64,sq8,rerank",
            "norm,graph,sq8,rerank-bf16",
            "rabitq1",
            "rabitq8,rerank",
            "norm,auto",
            "pca64,graph64",
            "pcaw,rotate,flat",
            "norm,pcaw8,opq3_6,pca,ivf16,pq7x4,rerank-f16",
            "opq16,pq16x8",
            "pq64x4",
            "pq1x4,rerank-f16",
            "ivf,rabitq4",
            "ivf4096,rabitq2,rerank-bf16",
            "ivf1,pq512x4,rerank-f32",
            "ivf,pq16x8",
            "pq1x8,rerank",
            "lvq8",
            "ivf,sq6,rerank-f16",
            "ivf16,rabitq1,rerank-i8",
            "pq32x4,rerank-i8",
            "ivfx2,rabitq2,rerank",
            "norm,ivf64x2,pq7x4",
        ] {
            assert_eq!(text.parse::<Spec>().unwrap().to_string(), text);
        }
        for (text, same) in [
            ("graph32", "graph"),
            ("ivf", "ivf,rabitq4,rerank"),
            ("ivf,rerank-f16", "ivf,rabitq4,rerank-f16"),
            ("ivf64", "ivf64,rabitq4,rerank"),
            ("ivf64,f16", "ivf64,rabitq4,rerank-f16"),
            ("bf16", "rabitq4,rerank-bf16"),
            ("ivf64x2", "ivf64x2,rabitq4,rerank"),
            ("pca64", "pca64,auto"),
            ("norm,opq8_32,f16", "norm,opq8_32,rabitq4,rerank-f16"),
        ] {
            assert_eq!(text.parse::<Spec>().unwrap(), same.parse::<Spec>().unwrap());
        }
    }

    #[test]
    fn a_bad_spec_is_refused_where_it_goes_wrong() {
        let bad = [
            ("", 0),
            ("flot", 2),
            ("flat-row", 6),
            ("flat ", 4),
            ("graph33", 5),
            ("graph0", 5),
            ("graph99999999999999999999", 5),
            ("graph 64", 5),
            ("graph,", 6),
            ("graph33,sq8", 5),
            ("graph64,sq4", 8),
            ("graph,sq8,", 10),
            ("graph,sq8,rerank-i8", 16),
            ("graph,sq8,rerank-f64", 16),
            ("graph,sq8,rerank,sq8", 16),
            ("graph,rerank", 6),
            ("grapes", 4),
            ("rabitq", 6),
            ("rabitq0", 6),
            ("rabitq9", 6),
            ("rabitqs", 6),
            ("pq64", 4),
            ("pq64x16", 7),
            ("pq64x8,rerank-i8", 13),
            ("sq9", 2),
            ("lvq", 3),
            ("f16,rerank", 4),
            ("ivf,f32", 4),
            ("pca0,flat", 3),
            ("pca99999,flat", 3),
            ("pcax,flat", 3),
            ("norms", 4),
            ("norm,", 5),
            ("flat,norm", 4),
            ("norm,ivf,rabitq9", 15),
            ("opq,pq16x4", 3),
            ("opq4_,pq16x4", 5),
            ("opq4_x,pq16x4", 5),
            ("opq4_+8,pq16x4", 5),
            ("norm,norm,norm,norm,norm,flat", 20),
            ("pqx4", 2),
            ("pq0x4", 2),
            ("pq513x4", 2),
            ("ivf0", 3),
            ("ivf99999999", 3),
            ("ivf,", 4),
            ("ivf,flat", 4),
            ("ivf0x2", 3),
            ("ivf64x3", 3),
            ("ivf64x2x2", 3),
            ("ivf16,rabitq9", 12),
            ("ivf,rabitq4,", 12),
            ("ivf,rabitq4,rerank-i8", 18),
            ("ivf,rabitq4,rerank,rerank", 19),
            ("rabitq4,ivf", 8),
            ("flat,rerank", 4),
        ];
        for (text, at) in bad {
            let error = text.parse::<Spec>();
            assert!(
                matches!(error, Err(Error::Spec { position, .. }) if position == at),
                "{text}: {error:?}"
            );
        }
    }
}
