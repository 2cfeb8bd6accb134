//! Rows in Parquet: four texts, three that may be absent, and the features as a list of floats.

use crate::{
    error::Failure,
    rows::{self, Features, Row, Rows},
};
use ::parquet::{
    basic::Compression,
    data_type::{ByteArray, ByteArrayType, DataType, FloatType},
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        reader::{FileReader, SerializedFileReader},
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    record::{Field, Row as Read},
    schema::parser::parse_message_type,
};
use std::{fs::File, io, path::Path, sync::Arc};

const SCHEMA: &str = "message references {
    required binary subject (string); required binary encounter (string);
    required binary watchlist (string); required binary category (string);
    optional binary handling (string); optional binary grading (string); optional binary instruction (string);
    required group features (list) { repeated group list { required float element; } }
}";
const COLUMNS: [&str; 5] = ["category", "encounter", "features", "subject", "watchlist"];

/// Rows of a group.
const GROUP: usize = 4096;

/// The rows of a file, one by one, by their numbers from 1.
pub(crate) fn read(path: &Path) -> Result<Rows<(Row, Features)>, Failure> {
    let failed = |error: ParquetError| Failure::Argument(format!("{}: {error}", path.display()));
    let file = File::open(path).map_err(|error| Failure::file(path, error))?;
    let reader = SerializedFileReader::new(file).map_err(failed)?;
    let schema = reader.metadata().file_metadata().schema();
    if !rows::are_columns(schema.get_fields().iter().map(|field| field.name()), &COLUMNS) {
        let wanted = COLUMNS.join(", ");
        return Err(Failure::Argument(format!("{}: its columns must be {wanted}", path.display())));
    }
    let rows = reader.into_iter().zip(1..);
    Ok(Box::new(
        rows.map(|(read, number)| {
            (number, read.map_err(|error| error.to_string()).and_then(|read| row(&read)))
        }),
    ))
}

fn row(read: &Read) -> Result<(Row, Features), String> {
    let field =
        |name: &str| read.get_column_iter().find(|(column, _)| *column == name).map(|(_, field)| field);
    let text = |name: &str| match field(name) {
        Some(Field::Str(text)) => Ok(text.as_str()),
        _ => Err(format!("{name} is no text")),
    };
    let maybe = |name: &str| match field(name) {
        None | Some(Field::Null) => Ok(None),
        Some(Field::Str(text)) => Ok(Some(text.as_str())),
        _ => Err(format!("{name} is no text")),
    };
    fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> Result<T, String> {
        text.parse().map_err(|error| format!("{name}: {error}"))
    }
    let Some(Field::ListInternal(list)) = field("features") else {
        return Err("features are no list".to_owned());
    };
    let number = |field: &Field| match field {
        Field::Float(number) => Ok(*number),
        _ => Err("features are no floats of 32 bits".to_owned()),
    };
    let features: Vec<f32> = list.elements().iter().map(number).collect::<Result<_, _>>()?;
    let row = Row {
        subject: parse("subject", text("subject")?)?,
        encounter: parse("encounter", text("encounter")?)?,
        watchlist: text("watchlist")?.to_owned(),
        category: parse("category", text("category")?)?,
        handling: maybe("handling")?.map(|text| parse("handling", text)).transpose()?,
        grading: maybe("grading")?.map(|text| parse("grading", text)).transpose()?,
        instruction: maybe("instruction")?.map(|text| parse("instruction", text)).transpose()?,
    };
    Ok((row, features.into()))
}

/// A file that is being written.
pub(crate) struct Writer {
    file: SerializedFileWriter<File>,
    texts: [Vec<ByteArray>; 4],
    /// What is there of those that may be absent, and 1 for each that is.
    remarks: [(Vec<ByteArray>, Vec<i16>); 3],
    features: Vec<f32>,
    /// 0 where a row's features begin.
    repeats: Vec<i16>,
}

impl Writer {
    /// Begins a file.
    pub(crate) fn begin(file: File) -> io::Result<Self> {
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let file = SerializedFileWriter::new(file, schema, Arc::new(properties))?;
        let (texts, remarks) = Default::default();
        Ok(Self { file, texts, remarks, features: Vec::new(), repeats: Vec::new() })
    }

    /// Adds a row: subject, encounter, watchlist, category; handling, grading, instruction; features.
    pub(crate) fn push(
        &mut self,
        texts: [&str; 4],
        remarks: &[Option<String>; 3],
        features: &[f32],
    ) -> io::Result<()> {
        for ((values, present), remark) in self.remarks.iter_mut().zip(remarks) {
            present.push(i16::from(remark.is_some()));
            values.extend(remark.as_ref().map(|text| text.as_str().into()));
        }
        self.texts.iter_mut().zip(texts).for_each(|(column, text)| column.push(text.into()));
        self.repeats.extend((0..features.len()).map(|at| i16::from(at > 0)));
        self.features.extend(features);
        if self.texts[0].len() == GROUP { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut group = self.file.next_row_group()?;
        for texts in &mut self.texts {
            column::<ByteArrayType>(&mut group, texts, None, None)?;
            texts.clear();
        }
        for (values, present) in &mut self.remarks {
            column::<ByteArrayType>(&mut group, values, Some(present), None)?;
            values.clear();
            present.clear();
        }
        let present = vec![1; self.repeats.len()];
        column::<FloatType>(&mut group, &self.features, Some(&present), Some(&self.repeats))?;
        self.features.clear();
        self.repeats.clear();
        group.close()?;
        Ok(())
    }

    /// Ends the file.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        if !self.texts[0].is_empty() {
            self.flush()?;
        }
        self.file.close()?;
        Ok(())
    }
}

fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
    present: Option<&[i16]>,
    repeats: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let mut column = group.next_column()?.ok_or_else(|| ParquetError::EOF("no more columns".to_owned()))?;
    column.typed::<T>().write_batch(values, present, repeats)?;
    column.close()
}
