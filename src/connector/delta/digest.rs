//! Keys of rows as digests, so that millions of them fit into memory.

use std::hash::{DefaultHasher, Hasher as _};

use arrow::{
    array::ArrayRef,
    error::ArrowError,
    row::{RowConverter, SortField},
};

/// 128 bits of a key: two keys of one digest would take some 10^19 rows to meet.
pub(super) type KeyDigest = u128;

/// The digest of each row of key columns. Columns must have the table's types: digests of other types differ.
pub(super) fn digests(columns: &[ArrayRef]) -> Result<Vec<KeyDigest>, ArrowError> {
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(columns)?;
    Ok(rows.iter().map(|row| digest(row.data())).collect())
}

fn digest(bytes: &[u8]) -> KeyDigest {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(salt);
        hasher.write(bytes);
        u128::from(hasher.finish())
    };
    half(1) << 64 | half(2)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn equal_keys_have_equal_digests() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 1, 2]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("а"), Some("а"), None]));
        let found = digests(&[numbers.clone(), texts.clone()]).unwrap();
        assert_eq!(found[0], found[1]);
        assert_ne!(found[0], found[2]);
        let later = digests(&[numbers.slice(2, 1), texts.slice(2, 1)]).unwrap();
        assert_eq!(later[0], found[2], "a digest does not depend on the batch");
    }
}
