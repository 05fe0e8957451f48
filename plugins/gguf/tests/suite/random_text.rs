//! Random texts that tokenizers like to stumble over, the same for the same seed.

/// A generator of random numbers (splitmix64, Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    fn char_of(&mut self, range: (u32, u32)) -> char {
        let code = range.0 + self.below((range.1 - range.0 + 1) as usize) as u32;
        // Only surrogates are no characters.
        char::from_u32(code).unwrap_or('\u{fffd}')
    }

    /// A run of up to `max` characters out of the ranges.
    fn run(&mut self, ranges: &[(u32, u32)], max: usize) -> String {
        let range = ranges[self.below(ranges.len())];
        (0..=self.below(max)).map(|_| self.char_of(range)).collect()
    }
}

const LETTERS: [(u32, u32); 3] = [(0x61, 0x7a), (0x41, 0x5a), (0x21, 0x7e)];
const ACCENTED: [(u32, u32); 6] = [
    (0xc0, 0x17f),
    (0x1e00, 0x1eff),
    (0x370, 0x3ff),
    (0x400, 0x45f),
    (0x590, 0x6ff),
    (0x900, 0xe7f),
];
const DIGITS: [(u32, u32); 4] = [(0x30, 0x39), (0x30, 0x39), (0x660, 0x669), (0xff10, 0xff19)];
const CJK: [(u32, u32); 5] =
    [(0x4e00, 0x9fff), (0x3040, 0x30ff), (0x20000, 0x2a6df), (0xf900, 0xfaff), (0x3000, 0x303f)];
const HANGUL: [(u32, u32); 3] = [(0xac00, 0xd7a3), (0x1100, 0x11ff), (0x3130, 0x318f)];
const EMOJI: [(u32, u32); 3] = [(0x1f300, 0x1f64f), (0x1f680, 0x1f6ff), (0x2600, 0x27bf)];
const CONTROL: [(u32, u32); 5] =
    [(0, 0x1f), (0x7f, 0x9f), (0x200b, 0x200f), (0x202a, 0x202e), (0xfff9, 0xfffd)];
/// Beside the surrogates, noncharacters, private use.
const EDGES: [(u32, u32); 5] = [
    (0xd7fb, 0xd7ff),
    (0xe000, 0xe004),
    (0xfdd0, 0xfdef),
    (0xfffe, 0x1_0001),
    (0x10_fffe, 0x10_ffff),
];
const MARKS: [(u32, u32); 2] = [(0x300, 0x36f), (0x300, 0x308)];
const ANY: [(u32, u32); 3] = [(0, 0x7ff), (0x800, 0xffff), (0x1_0000, 0x3_ffff)];
const SPACES: [&str; 14] = [
    " ", " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r", "\u{a0}", "\u{3000}", "\u{2028}",
    "\u{85}", "\u{b}",
];
const JOINED_EMOJI: [&str; 5] =
    ["👩\u{200d}👩\u{200d}👧\u{200d}👦", "🏳\u{fe0f}\u{200d}🌈", "👍🏽", "🇩🇪🇫🇷", "1\u{fe0f}\u{20e3}"];
/// What looks like something else to one tokenizer or another.
const LOOKALIKES: [&str; 12] = [
    "'ll",
    "'RE",
    "I'm",
    "\u{2581}",
    "\u{2581}a",
    "Ġ",
    "##ing",
    "<0x0A>",
    "\\ud83d\\ude00",
    "\u{ed}\u{a0}\u{bd}",
    "e\u{301}",
    "\u{fb01}",
];

/// That many texts; `special` are the spellings of special tokens.
pub(crate) fn random_texts(seed: u64, count: usize, special: &[&str]) -> Vec<String> {
    let mut random = Random(seed);
    (0..count).map(|_| text(&mut random, special)).collect()
}

fn text(random: &mut Random, special: &[&str]) -> String {
    (0..=random.below(10)).map(|_| part(random, special)).collect()
}

fn part(random: &mut Random, special: &[&str]) -> String {
    match random.below(24) {
        0..=4 => random.run(&LETTERS, 8),
        5..=8 => (0..=random.below(2)).map(|_| random.pick(&SPACES)).collect(),
        9 => random.run(&DIGITS, 8),
        10 => random.run(&ACCENTED, 6),
        11 => {
            let base = random.run(&LETTERS, 2);
            base.chars().flat_map(|c| [c.to_string(), random.run(&MARKS, 2)]).collect()
        }
        12 => random.run(&CJK, 6),
        13 => random.run(&HANGUL, 6),
        14 => random.run(&EMOJI, 2),
        15 => random.pick(&JOINED_EMOJI).to_owned(),
        16 => random.run(&CONTROL, 2),
        17 => random.run(&EDGES, 2),
        18 => random.run(&ANY, 3),
        19 | 20 if !special.is_empty() => random.pick(special).to_owned(),
        21 => {
            let spelling = random.pick(&SPACES).to_owned();
            spelling.repeat(1 + random.below(20))
        }
        22 if random.below(20) == 0 => random.run(&LETTERS, 4).repeat(1 + random.below(200)),
        _ => random.pick(&LOOKALIKES).to_owned(),
    }
}
