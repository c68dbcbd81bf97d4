//! Statements over many rows at once: lists of values, in few different lengths.

/// How much one statement should carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

/// Cuts a list into pieces whose lengths are powers of two, so that a connection keeps few different statements
/// prepared, whatever the lists' lengths are.
pub(crate) fn pieces<T>(list: &[T], bounds: Bounds) -> impl Iterator<Item = &[T]> {
    pieces_by(list, bounds, |_| 0)
}

/// As [`pieces`], each within the bounds in bytes too, unless it is a single row.
pub(crate) fn pieces_by<T>(
    mut list: &[T],
    bounds: Bounds,
    bytes: impl Fn(&T) -> usize,
) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let mut held = 0_usize;
        let fitting = list.iter().take(bounds.rows).take_while(|row| {
            held = held.saturating_add(bytes(row));
            held <= bounds.bytes
        });
        let length = 1 << fitting.count().max(1).min(list.len()).checked_ilog2()?;
        let (piece, rest) = list.split_at_checked(length)?;
        list = rest;
        Some(piece)
    })
}

/// `($1, $2), ($3, $4)`: so many rows of so many columns, numbered from `from` on.
pub(crate) fn values(from: usize, rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * columns * 6);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns {
            if column > 0 {
                text.push_str(", ");
            }
            text.push('$');
            text.push_str(&(from + row * columns + column).to_string());
        }
        text.push(')');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: Bounds = Bounds { rows: 512, bytes: usize::MAX };

    #[test]
    fn pieces_are_powers_of_two_and_hold_everything() {
        for length in [0, 1, 2, 3, 37, 512, 1_300] {
            let list: Vec<usize> = (0..length).collect();
            let cut: Vec<&[usize]> = pieces(&list, WIDE).collect();
            assert!(cut.iter().all(|piece| piece.len().is_power_of_two() && piece.len() <= 512));
            assert_eq!(cut.concat(), list);
        }
        assert_eq!(pieces(&[0; 37], WIDE).map(<[i32]>::len).collect::<Vec<_>>(), [32, 4, 1]);
    }

    #[test]
    fn pieces_are_bounded_in_bytes_too() {
        let list = [3, 3, 3, 3, 9, 50, 1];
        let cut: Vec<&[usize]> =
            pieces_by(&list, Bounds { bytes: 10, ..WIDE }, |size| *size).collect();
        assert_eq!(cut, [&[3, 3][..], &[3, 3], &[9], &[50], &[1]]);
    }

    #[test]
    fn values_are_numbered_through() {
        assert_eq!(values(1, 2, 2), "($1, $2), ($3, $4)");
        assert_eq!(values(3, 1, 3), "($3, $4, $5)");
    }
}
