//! Where the frames of a WebSocket begin and end (RFC 6455 §5.2), and the frame that says why there will be no more.
//!
//! Promises: whatever the bytes are, following them costs a few comparisons a frame and no memory.
//! Deliberately does not: judge or change a frame; what is no WebSocket is followed all the same.

/// Follows one direction of a WebSocket.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Frames {
    at: At,
    is_closed: bool,
}

/// What the next byte is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum At {
    /// The first of a frame.
    #[default]
    Opcode,
    /// The short length, and whether there is a mask.
    Short,
    /// One of so many more of the length.
    Long { left: u8, length: u64, mask: u64 },
    /// One of so many more of the frame.
    Content(u64),
}

/// The opcode of a Close frame, final and alone as control frames are.
const CLOSE: u8 = 0x88;
const OPCODE: u8 = 0x0F;
const MASKED: u8 = 0x80;
/// The most bytes of a control frame's content (RFC 6455 §5.5).
const MOST: usize = 125;

impl Frames {
    /// So much has passed.
    pub(super) fn follow(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = self.step(rest);
        }
    }

    /// Whether the next byte begins a frame.
    pub(super) fn is_between(&self) -> bool {
        self.at == At::Opcode
    }

    /// Whether a Close frame has begun: no other frame may follow it.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// How many of `bytes`, which come next, belong to the frame that has begun.
    pub(super) fn rest(&self, bytes: &[u8]) -> usize {
        let (mut ahead, mut rest) = (*self, bytes);
        while !ahead.is_between() && !rest.is_empty() {
            rest = ahead.step(rest);
        }
        bytes.len() - rest.len()
    }

    /// Takes one part of a frame from `bytes`, of which there are some; what is left of them.
    fn step<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let Some((&byte, rest)) = bytes.split_first() else { return bytes };
        self.at = match self.at {
            At::Opcode => {
                self.is_closed |= byte & OPCODE == CLOSE & OPCODE;
                At::Short
            }
            At::Short => {
                let mask = if byte & MASKED == 0 { 0 } else { 4 };
                match byte & !MASKED {
                    126 => At::Long { left: 2, length: 0, mask },
                    127 => At::Long { left: 8, length: 0, mask },
                    length => At::content(u64::from(length) + mask),
                }
            }
            At::Long { left, length, mask } => {
                let length = (length << 8) | u64::from(byte);
                match left {
                    0 | 1 => At::content(length.saturating_add(mask)),
                    left => At::Long { left: left - 1, length, mask },
                }
            }
            At::Content(left) => {
                let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                self.at = At::content(left - taken as u64);
                return bytes.get(taken..).unwrap_or_default();
            }
        };
        rest
    }
}

impl At {
    fn content(left: u64) -> Self {
        if left == 0 { Self::Opcode } else { Self::Content(left) }
    }
}

/// A Close frame (RFC 6455 §5.5.1). What a client sends is masked (§5.3).
pub(super) fn close(code: u16, reason: &str, mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut content = code.to_be_bytes().to_vec();
    content.extend(reason.bytes().take(MOST - content.len())); // our reasons are ASCII
    let length = u8::try_from(content.len()).unwrap_or_default();
    let mut frame = vec![CLOSE, length];
    if let Some(mask) = mask {
        frame[1] |= MASKED;
        frame.extend_from_slice(&mask);
        content.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    }
    frame.append(&mut content);
    frame
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame with this opcode, `length` bytes of content and, it may be, a mask.
    fn frame(opcode: u8, length: usize, mask: Option<[u8; 4]>) -> Vec<u8> {
        let marked = if mask.is_some() { MASKED } else { 0 };
        let mut frame = vec![opcode];
        match length {
            0..126 => frame.push(marked | u8::try_from(length).expect("short")),
            126..65_536 => {
                frame.push(marked + 126);
                frame.extend(u16::try_from(length).expect("longer").to_be_bytes());
            }
            _ => {
                frame.push(marked + 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(mask.into_iter().flatten());
        frame.extend(std::iter::repeat_n(0x88, length));
        frame
    }

    #[test]
    fn a_frame_ends_where_its_length_says_however_it_comes() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 70_000] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let whole = frame(0x82, length, mask);
                for size in [1, 2, 7, usize::MAX] {
                    let mut frames = Frames::default();
                    let mut passed = 0;
                    for piece in whole.chunks(size.min(whole.len())) {
                        assert!(passed == 0 || !frames.is_between(), "{length}");
                        assert_eq!(frames.rest(piece), if passed == 0 { 0 } else { piece.len() });
                        frames.follow(piece);
                        passed += piece.len();
                    }
                    assert!(frames.is_between() && !frames.is_closed(), "{length}");
                }
            }
        }
    }

    #[test]
    fn what_belongs_to_the_frame_that_has_begun_is_known() {
        let both = [frame(0x81, 300, None), frame(0x88, 2, Some([9; 4]))].concat();
        let mut frames = Frames::default();
        frames.follow(&both[..3]);
        assert_eq!(frames.rest(&both[3..]), 301);
        frames.follow(&both[3..304]);
        assert!(frames.is_between() && !frames.is_closed());
        frames.follow(&both[304..305]);
        assert!(!frames.is_between() && frames.is_closed());
    }

    #[test]
    fn a_close_frame_is_one_frame_and_says_why() {
        let plain = close(1008, "token_superseded", None);
        assert_eq!(plain, [&[0x88, 18, 0x03, 0xF0], &b"token_superseded"[..]].concat());
        let masked = close(1001, "", Some([1, 2, 3, 4]));
        assert_eq!(masked, [0x88, 0x82, 1, 2, 3, 4, 0x03 ^ 1, 0xE9 ^ 2]);
        for frame in [plain, masked, close(1008, &"x".repeat(500), Some([5; 4]))] {
            let mut frames = Frames::default();
            frames.follow(&frame);
            assert!(frames.is_between() && frames.is_closed() && frame.len() <= 131);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_followed_alike_in_any_pieces(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0..400_usize) {
            let (mut whole, mut pieces) = (Frames::default(), Frames::default());
            whole.follow(&bytes);
            let (first, second) = bytes.split_at(at.min(bytes.len()));
            pieces.follow(first);
            prop_assert!(pieces.rest(second) <= second.len());
            pieces.follow(second);
            prop_assert_eq!((whole.at, whole.is_closed), (pieces.at, pieces.is_closed));
        }
    }
}
