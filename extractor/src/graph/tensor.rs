//! Constants of a graph: just what folding needs of ONNX's tensors.

use super::GraphError;
use rten_onnx::onnx::{DataLocation, DataType, TensorProto};
use std::cell::RefCell;

/// More elements than the largest constant of a graph may have: 1 GiB of f32.
const ELEMENT_LIMIT: usize = 1 << 28;

/// A constant: its shape, and its elements in row-major order.
#[derive(Clone, Debug)]
pub(super) struct Constant {
    pub(super) dims: Vec<usize>,
    pub(super) elements: Elements,
}

/// Elements, by the kinds that folding tells apart.
#[derive(Clone, Debug)]
pub(super) enum Elements {
    /// Weights.
    Float(Vec<f32>),
    /// Shapes, axes, and quantised weights.
    Integer(Vec<i64>, DataType),
}

impl Constant {
    /// Reads an initializer; `None` for kinds that no fold uses, which stay as they are.
    pub(super) fn read(tensor: &TensorProto) -> Result<Option<Self>, GraphError> {
        let name = || tensor.name.clone().unwrap_or_default();
        if !tensor.external_data.is_empty() || tensor.data_location.is_some_and(|at| at != DataLocation(0)) {
            return Err(GraphError::External(name()));
        }
        let dims: Option<Vec<usize>> = tensor.dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
        let dims = dims.ok_or_else(|| GraphError::Constant(name()))?;
        let count = dims.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim));
        let count =
            count.filter(|count| *count <= ELEMENT_LIMIT).ok_or_else(|| GraphError::Constant(name()))?;
        let raw = tensor.raw_data.as_ref().map(|raw| raw.borrow());
        let raw = raw.as_deref().map(Vec::as_slice);
        let kind = tensor.data_type.unwrap_or(DataType(0));
        let elements = match kind {
            DataType::FLOAT => Elements::Float(match raw {
                Some(raw) => numbers(raw, f32::from_le_bytes),
                None => tensor.float_data.clone(),
            }),
            DataType::INT64 => Elements::Integer(
                match raw {
                    Some(raw) => numbers(raw, i64::from_le_bytes),
                    None => tensor.int64_data.clone(),
                },
                kind,
            ),
            DataType::INT8 | DataType::UINT8 | DataType::INT32 => Elements::Integer(
                match (raw, kind) {
                    (Some(raw), DataType::INT8) => numbers(raw, |x| i64::from(i8::from_le_bytes(x))),
                    (Some(raw), DataType::UINT8) => numbers(raw, |[x]| i64::from(x)),
                    (Some(raw), _) => numbers(raw, |x| i64::from(i32::from_le_bytes(x))),
                    (None, _) => tensor.int32_data.iter().map(|x| i64::from(*x)).collect(),
                },
                kind,
            ),
            _ => return Ok(None),
        };
        let found = match &elements {
            Elements::Float(floats) => floats.len(),
            Elements::Integer(integers, _) => integers.len(),
        };
        if found == count { Ok(Some(Self { dims, elements })) } else { Err(GraphError::Constant(name())) }
    }

    /// As an initializer of this name.
    pub(super) fn write(&self, name: &str) -> TensorProto {
        let (kind, raw): (DataType, Vec<u8>) = match &self.elements {
            Elements::Float(floats) => {
                (DataType::FLOAT, floats.iter().flat_map(|x| x.to_le_bytes()).collect())
            }
            Elements::Integer(integers, kind) => {
                let bytes = |x: &i64| match *kind {
                    DataType::INT8 | DataType::UINT8 => x.to_le_bytes()[..1].to_vec(),
                    DataType::INT32 => x.to_le_bytes()[..4].to_vec(),
                    _ => x.to_le_bytes().to_vec(),
                };
                (*kind, integers.iter().flat_map(bytes).collect())
            }
        };
        TensorProto {
            dims: self.dims.iter().map(|dim| *dim as i64).collect(),
            data_type: Some(kind),
            raw_data: Some(RefCell::new(raw)),
            name: Some(name.to_owned()),
            ..TensorProto::default()
        }
    }

    pub(super) fn floats(&self) -> Option<&[f32]> {
        match &self.elements {
            Elements::Float(floats) => Some(floats),
            Elements::Integer(..) => None,
        }
    }

    pub(super) fn integers(&self) -> Option<&[i64]> {
        match &self.elements {
            Elements::Integer(integers, _) => Some(integers),
            Elements::Float(_) => None,
        }
    }

    /// The same elements in another shape, as the operator `Reshape` has it: 0 keeps a dimension, -1 takes what is left.
    pub(super) fn reshaped(&self, shape: &[i64]) -> Option<Self> {
        let count: usize = self.dims.iter().product();
        let dim = |(at, dim): (usize, &i64)| match dim {
            0 => self.dims.get(at).copied(),
            -1 => Some(1),
            dim => usize::try_from(*dim).ok(),
        };
        let mut dims: Vec<usize> = shape.iter().enumerate().map(dim).collect::<Option<_>>()?;
        let known = dims.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim))?;
        if let Some(open) = shape.iter().position(|dim| *dim == -1) {
            dims[open] = count.checked_div(known)?;
        }
        let whole = dims.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim));
        (whole == Some(count)).then(|| Self { dims, elements: self.elements.clone() })
    }

    /// What `DequantizeLinear` makes of it: `(x - zero_point) · scale`, one scale for all, for each index of an axis, or
    /// for each block of indices of it.
    pub(super) fn dequantised(
        &self,
        scale: &Self,
        zero_point: Option<&Self>,
        axis: i64,
        block: usize,
    ) -> Option<Self> {
        let (values, scales) = (self.integers()?, scale.floats()?);
        let zeros = zero_point.map(Self::integers);
        let zeros = match zeros {
            Some(zeros) => Some(zeros.filter(|zeros| zeros.len() == scales.len())?),
            None => None,
        };
        let rank = self.dims.len();
        let at =
            if axis < 0 { usize::try_from(axis + rank as i64).ok()? } else { usize::try_from(axis).ok()? };
        let along = if scales.len() == 1 { 1 } else { *self.dims.get(at)? };
        let inner: usize =
            if scales.len() == 1 { values.len().max(1) } else { self.dims[at + 1..].iter().product() };
        let groups = if block > 0 { along.div_ceil(block) } else { along };
        let wanted = match (scales.len(), block) {
            (1, _) => 1,
            (_, 0) => along,
            _ => values.len().checked_div(along)?.checked_mul(groups)?,
        };
        if scales.len() != wanted {
            return None;
        }
        let index = |position: usize| {
            let (outer, rest) = (position / (along * inner), position % (along * inner));
            let (step, within) = (rest / inner, rest % inner);
            match (scales.len(), block) {
                (1, _) => 0,
                (_, 0) => step,
                _ => (outer * groups + step / block) * inner + within,
            }
        };
        let value = |(position, value): (usize, &i64)| {
            let index = index(position);
            (*value - zeros.map_or(0, |zeros| zeros[index])) as f32 * scales[index]
        };
        let floats = values.iter().enumerate().map(value).collect();
        Some(Self { dims: self.dims.clone(), elements: Elements::Float(floats) })
    }
}

fn numbers<const N: usize, T>(raw: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    raw.as_chunks::<N>().0.iter().map(|bytes| number(*bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(dims: &[usize], floats: &[f32]) -> Constant {
        Constant { dims: dims.to_vec(), elements: Elements::Float(floats.to_vec()) }
    }

    fn byte(dims: &[usize], bytes: &[i64]) -> Constant {
        Constant { dims: dims.to_vec(), elements: Elements::Integer(bytes.to_vec(), DataType::INT8) }
    }

    #[test]
    fn blocks_of_an_axis_have_their_own_scale() {
        let quantised = byte(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        // Blocks of two along the second axis: the last is short.
        let (scale, zero) = (float(&[2, 2], &[1.0, 10.0, 100.0, 1000.0]), byte(&[2, 2], &[0, 1, 0, 0]));
        let folded = quantised.dequantised(&scale, Some(&zero), 1, 2).unwrap();
        assert_eq!(folded.floats().unwrap(), [1.0, 2.0, 20.0, 400.0, 500.0, 6000.0]);
        let folded = quantised.dequantised(&float(&[2], &[1.0, 2.0]), None, 0, 0).unwrap();
        assert_eq!(folded.floats().unwrap(), [1.0, 2.0, 3.0, 8.0, 10.0, 12.0]);
        let folded = quantised.dequantised(&float(&[], &[0.5]), None, 1, 0).unwrap();
        assert_eq!(folded.floats().unwrap(), [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]);
        assert!(quantised.dequantised(&float(&[5], &[0.5; 5]), None, 1, 0).is_none());
        assert!(quantised.dequantised(&float(&[2], &[0.5; 2]), None, 7, 0).is_none());
    }

    #[test]
    fn a_shape_that_does_not_fit_is_refused() {
        let constant = float(&[2, 3], &[0.0; 6]);
        assert_eq!(constant.reshaped(&[3, -1]).unwrap().dims, [3, 2]);
        assert_eq!(constant.reshaped(&[0, 3, 1]).unwrap().dims, [2, 3, 1]);
        assert!(constant.reshaped(&[4, -1]).is_none() && constant.reshaped(&[i64::MAX, i64::MAX]).is_none());
    }

    #[test]
    fn a_constant_reads_as_it_was_written() {
        for constant in [float(&[3], &[1.0, -0.5, 2e9]), byte(&[2], &[-128, 127])] {
            let again = Constant::read(&constant.write("x")).unwrap().unwrap();
            assert_eq!((&again.dims, format!("{again:?}")), (&constant.dims, format!("{constant:?}")));
        }
        let mut cut = float(&[3], &[1.0; 3]).write("x");
        cut.dims = vec![4];
        assert!(Constant::read(&cut).is_err());
    }
}
