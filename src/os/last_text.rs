//! What a worker wrote last to standard error: a ring of bytes in the scoreboard, after its rows.
//!
//! JavaScript copies what it writes into the ring (`lib/worker/last-lines.js`), and the master
//! reads it when the worker is gone, however that ended. What always holds: nothing that a worker
//! puts there makes the reader leave the ring.
//!
//! The first cell is a double: how many bytes were ever kept, of which the ring holds the last
//! ones.

use std::sync::atomic::Ordering;

use super::scoreboard::Row;

impl Row {
    /// Returns the last bytes that the worker kept, oldest first.
    pub fn last_text(&self) -> Vec<u8> {
        let [count, ring @ ..] = self.text() else { return Vec::new() };
        let mut bytes: Vec<u8> =
            ring.iter().flat_map(|cell| cell.load(Ordering::Relaxed).to_ne_bytes()).collect();
        // NaN is 0.
        let count = f64::from_bits(count.load(Ordering::Acquire)) as usize;
        if count < bytes.len() {
            bytes.truncate(count);
        } else {
            let oldest = count % bytes.len();
            bytes.rotate_left(oldest);
        }
        bytes
    }

    /// Returns the address of `TEXT_BYTES` bytes that stay mapped while this `Row` lives, for
    /// JavaScript.
    pub fn text_address(&self) -> *mut u8 {
        self.text().as_ptr().cast_mut().cast()
    }
}

#[cfg(test)]
mod tests {
    use super::super::scoreboard::{Scoreboard, TEXT_BYTES};
    use super::*;

    /// Keeps `text`, as JavaScript does.
    fn keep(row: &Row, text: &[u8]) {
        let [count, ring @ ..] = row.text() else { panic!("a text") };
        let kept = f64::from_bits(count.load(Ordering::Relaxed)) as usize;
        for (at, byte) in text.iter().enumerate() {
            let at = (kept + at) % (TEXT_BYTES - 8);
            let mut bytes = ring[at / 8].load(Ordering::Relaxed).to_ne_bytes();
            bytes[at % 8] = *byte;
            ring[at / 8].store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
        }
        count.store(((kept + text.len()) as f64).to_bits(), Ordering::Release);
    }

    #[test]
    fn the_end_of_what_was_written_is_kept_for_each_worker_apart() {
        let board = Scoreboard::create(3).unwrap();
        let other =
            Scoreboard::open(board.memory().unwrap().try_clone_to_owned().unwrap()).unwrap();
        let [first, last] = [0, 2].map(|row| other.row(row).unwrap());
        keep(&first, b"one\n");
        keep(&last, b"two\n");
        keep(&last, b"three\n");
        let text = |row| board.row(row).unwrap().last_text();
        assert_eq!([text(0), text(1), text(2)], [&b"one\n"[..], b"", b"two\nthree\n"]);
        let many: Vec<u8> = (0..5_000u32).map(|at| b'a' + (at % 26) as u8).collect();
        many.chunks(999).for_each(|part| keep(&first, part));
        assert_eq!(text(0), many[many.len() - (TEXT_BYTES - 8)..]);
        board.row(0).unwrap().clear();
        assert_eq!((text(0), text(2)), (Vec::new(), b"two\nthree\n".to_vec()));
    }

    #[test]
    fn an_invalid_count_of_a_worker_leaves_the_reader_in_the_ring() {
        let row = Scoreboard::create(1).unwrap().row(0).unwrap();
        for invalid in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            row.text()[0].store(invalid.to_bits(), Ordering::Relaxed);
            assert!(row.last_text().len() <= TEXT_BYTES - 8);
        }
    }
}
