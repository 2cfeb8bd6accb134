//! Matrices of features in NumPy's format, read row by row.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek},
    path::Path,
};

/// Why a file is not a matrix of features.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It has another form.
    #[error("it is not a two-dimensional NumPy matrix of little-endian f32 in C order")]
    Form,
    /// The file is shorter or longer than its header says.
    #[error(
        "its header promises {promised} bytes of features, the file holds {found}: it is cut off or damaged"
    )]
    Length {
        /// By the header.
        promised: u64,
        /// In the file.
        found: u64,
    },
}

/// The longest header that is read; NumPy writes 128 bytes for a matrix.
const HEADER_LIMIT_BYTES: u64 = 1 << 10;
/// The longest vector that is read, as f64.
const VECTOR_LIMIT_BYTES: u64 = 8 * matcher::template::DIMENSION_LIMIT as u64;

/// A matrix of features, row by row: N × D, f32.
pub struct Matrix {
    rows: u64,
    dimension: usize,
    next: u64,
    file: BufReader<File>,
}

impl Matrix {
    /// Opens a file and compares its length with its header, before any row is read.
    ///
    /// # Errors
    /// When it cannot be read, has another form, or another length.
    pub fn open(path: &Path) -> Result<Self, NpyError> {
        let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
        let header = header(&mut file)?;
        let plain = header.dtype().descr() == "'<f4'" && header.order() == npyz::Order::C;
        let (true, &[rows, dimension]) = (plain, header.shape()) else { return Err(NpyError::Form) };
        let promised = rows.checked_mul(dimension).and_then(|n| n.checked_mul(4)).ok_or(NpyError::Form)?;
        let found = file.get_ref().metadata()?.len().saturating_sub(file.stream_position()?);
        if promised != found {
            return Err(NpyError::Length { promised, found });
        }
        let dimension = usize::try_from(dimension).map_err(|_| NpyError::Form)?;
        Ok(Self { rows, dimension, next: 0, file })
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Features in a row.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Goes on with this row, which is not before the next one.
    ///
    /// # Errors
    /// When the file cannot be read.
    ///
    /// # Panics
    /// When it is before the next one.
    pub fn skip_to(&mut self, row: u64) -> io::Result<()> {
        assert!(row >= self.next, "rows are read in their order");
        let bytes = (row - self.next) * self.dimension as u64 * 4;
        self.next = row;
        // Within the file, whose length was compared with its header.
        self.file.seek_relative(bytes.cast_signed())
    }
}

/// A header, bounded before it is parsed.
fn header(file: &mut impl Read) -> Result<npyz::NpyHeader, NpyError> {
    npyz::NpyHeader::from_reader(file.take(HEADER_LIMIT_BYTES)).map_err(|_| NpyError::Form)
}

impl Iterator for Matrix {
    type Item = io::Result<Vec<f32>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.rows {
            return None;
        }
        self.next += 1;
        let mut bytes = vec![0; self.dimension * 4];
        let row = self.file.read_exact(&mut bytes);
        Some(row.map(|()| bytes.as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x)).collect()))
    }
}

/// A vector of features, such as a mean: D, or 1 × D.
///
/// # Errors
/// When the file cannot be read or has another form.
pub fn read_vector(path: &Path) -> Result<Vec<f32>, NpyError> {
    let file = File::open(path)?;
    if file.metadata()?.len() > HEADER_LIMIT_BYTES + VECTOR_LIMIT_BYTES {
        return Err(NpyError::Form);
    }
    let mut file = BufReader::new(file);
    let npy = npyz::NpyFile::with_header(header(&mut file)?, file);
    let descr = npy.dtype().descr();
    if !matches!(npy.shape(), [_] | [1, _]) {
        return Err(NpyError::Form);
    }
    match descr.as_str() {
        "'<f4'" => Ok(npy.into_vec()?),
        "'<f8'" => Ok(npy.into_vec::<f64>()?.into_iter().map(|x| x as f32).collect()),
        _ => Err(NpyError::Form),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(descr: &str, shape: &str, bytes: usize) -> tempfile::NamedTempFile {
        let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        while (header.len() + 11) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut content = b"\x93NUMPY\x01\x00".to_vec();
        content.extend((header.len() as u16).to_le_bytes());
        content.extend(header.as_bytes());
        content.extend((0..bytes).map(|i| if i % 4 == 3 { 0x3f } else { 0 }));
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn a_matrix_is_read_row_by_row() {
        let file = file("<f4", "(2, 3)", 24);
        let matrix = Matrix::open(file.path()).unwrap();
        assert_eq!((matrix.rows(), matrix.dimension()), (2, 3));
        assert_eq!(matrix.map(Result::unwrap).collect::<Vec<_>>(), [[0.5; 3], [0.5; 3]]);
        let mut matrix = Matrix::open(file.path()).unwrap();
        matrix.skip_to(1).unwrap();
        assert_eq!(matrix.map(Result::unwrap).collect::<Vec<_>>(), [[0.5; 3]]);
    }

    #[test]
    fn a_file_of_another_form_or_length_is_refused_before_it_is_read() {
        let open = |file: tempfile::NamedTempFile| Matrix::open(file.path()).map(drop);
        assert!(matches!(open(file("<f4", "(2, 3)", 23)), Err(NpyError::Length { promised: 24, found: 23 })));
        assert!(matches!(open(file("<f4", "(9999999999, 9999999999)", 8)), Err(NpyError::Form)));
        assert!(matches!(open(file("<f8", "(2, 3)", 48)), Err(NpyError::Form)));
        assert!(matches!(open(file("<f4", "(6,)", 24)), Err(NpyError::Form)));
        let nested = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            nested.path(),
            [b"\x93NUMPY\x01\x00\xff\xff".as_slice(), &vec![b'('; 65_535]].concat(),
        )
        .unwrap();
        assert!(matches!(open(nested), Err(NpyError::Form)));
        let empty = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(open(empty), Err(NpyError::Form)));
    }

    #[test]
    fn a_mean_is_read_in_either_precision() {
        assert_eq!(read_vector(file("<f4", "(3,)", 12).path()).unwrap(), [0.5; 3]);
        assert_eq!(read_vector(file("<f8", "(1, 3)", 24).path()).unwrap().len(), 3);
        assert!(read_vector(file("<f4", "(2, 3)", 24).path()).is_err());
        assert!(read_vector(file("<f4", "(3,)", 11).path()).is_err());
    }
}
