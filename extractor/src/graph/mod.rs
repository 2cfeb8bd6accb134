//! ONNX graphs, brought to what every runtime can run: constants folded, weights in plain f32.
//!
//! Block-quantised weights (`DequantizeLinear` with `block_size`, opset 21) become plain ones; `BatchNormalization`
//! goes into the convolution or matrix product before it; `Dropout`, `Identity` and `Constant` vanish. What is left
//! computes the same. Source: the operators' definitions, onnx.ai.

mod tensor;

use rten_onnx::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};
use std::collections::{HashMap, HashSet};
use tensor::{Constant, Elements};

/// The longest file of a graph that is read.
pub const GRAPH_LIMIT_BYTES: u64 = 1 << 30;

/// Why a graph cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// Not an ONNX file.
    #[error("this is not an ONNX model: {0}")]
    Unreadable(String),
    /// Weights elsewhere.
    #[error("the weights of {0} are in another file: export the model as one")]
    External(String),
    /// A constant whose elements do not fill its shape.
    #[error("the constant {0} is malformed")]
    Constant(String),
    /// Inputs of an operator that do not fit.
    #[error("{operator} does not fit its inputs ({output})")]
    Operator {
        /// What.
        operator: String,
        /// The name of what it computes.
        output: String,
    },
    /// Not one image in.
    #[error("the model has {0} inputs, not one image")]
    Inputs(usize),
    /// It does not load, or does not compute.
    #[error("the model does not run: {0}")]
    Runtime(String),
    /// What it gives has another shape than the profile says.
    #[error("the model gives {found}, not {expected}")]
    Output {
        /// Wanted.
        expected: String,
        /// Given.
        found: String,
    },
}

/// Folds a graph.
///
/// `dynamic` makes height and width of the input free: for a detector, which sees pictures of all sizes.
///
/// # Errors
/// When it is no graph, or has weights elsewhere.
pub fn fold(onnx: &[u8], dynamic: bool) -> Result<Vec<u8>, GraphError> {
    let mut model = ModelProto::parse_buf(onnx).map_err(|error| GraphError::Unreadable(error.to_string()))?;
    let graph = model.graph.take().ok_or_else(|| GraphError::Unreadable("it holds no graph".to_owned()))?;
    let mut folding = Folding::begin(&graph)?;
    for node in graph.node {
        folding.take(node)?;
    }
    folding.normalisations()?;
    let mut input = graph.input;
    // Weights may be listed as inputs, too, also those that are gone.
    input.retain(|value| value.name.as_ref().is_some_and(|name| folding.is_open(name)));
    if input.len() != 1 {
        return Err(GraphError::Inputs(input.len()));
    }
    if dynamic {
        free_size(&mut input[0]);
    }
    let output = graph.output;
    model.graph = Some(folding.end(input, output));
    model.metadata_props.clear();
    model.write_buf().map_err(|error| GraphError::Unreadable(error.to_string()))
}

fn free_size(input: &mut rten_onnx::onnx::ValueInfoProto) {
    let shape = input.r#type.as_mut().and_then(|kind| kind.tensor_type.as_mut()?.shape.as_mut());
    let dims = shape.map(|shape| &mut shape.dim);
    for (dim, name) in dims.into_iter().flat_map(|dims| dims.iter_mut().skip(2)).zip(["height", "width"]) {
        (dim.dim_value, dim.dim_param) = (None, Some(name.to_owned()));
    }
}

struct Folding {
    nodes: Vec<NodeProto>,
    initializers: HashMap<String, TensorProto>,
    /// The order in which initializers came: the file is to be the same each time.
    order: Vec<String>,
    constants: HashMap<String, Constant>,
    /// Names of what was the same as something else.
    same: HashMap<String, String>,
    /// What the graph gives keeps its name.
    outputs: HashSet<String>,
}

impl Folding {
    fn begin(graph: &GraphProto) -> Result<Self, GraphError> {
        let mut folding = Self {
            nodes: Vec::new(),
            initializers: HashMap::new(),
            order: Vec::new(),
            constants: HashMap::new(),
            same: HashMap::new(),
            outputs: graph.output.iter().filter_map(|value| value.name.clone()).collect(),
        };
        for tensor in &graph.initializer {
            let name = tensor.name.clone().unwrap_or_default();
            if let Some(constant) = Constant::read(tensor)? {
                folding.constants.insert(name.clone(), constant);
            }
            folding.order.push(name.clone());
            folding.initializers.insert(name, tensor.clone());
        }
        Ok(folding)
    }

    fn put(&mut self, name: &str, constant: Constant) {
        self.order.push(name.to_owned());
        self.initializers.insert(name.to_owned(), constant.write(name));
        self.constants.insert(name.to_owned(), constant);
    }

    fn constant(&self, node: &NodeProto, at: usize) -> Option<&Constant> {
        self.constants.get(node.input.get(at)?)
    }

    /// Folds a node, or keeps it.
    fn take(&mut self, mut node: NodeProto) -> Result<(), GraphError> {
        for input in &mut node.input {
            if let Some(other) = self.same.get(input) {
                input.clone_from(other);
            }
        }
        let output = node.output.first().cloned().unwrap_or_default();
        let operator = node.op_type.clone().unwrap_or_default();
        let misfit = || GraphError::Operator { operator: operator.clone(), output: output.clone() };
        let folded = match operator.as_str() {
            _ if self.outputs.contains(&output) => None,
            "Identity" | "Dropout" => {
                let input = node.input.first().ok_or_else(misfit)?;
                self.same.insert(output, input.clone());
                return Ok(());
            }
            "Constant" => attribute(&node, "value").and_then(|value| value.t.as_ref()).map(Constant::read),
            "DequantizeLinear" => match (self.constant(&node, 0), self.constant(&node, 1)) {
                (Some(quantised), Some(scale)) => {
                    let (zero, block) = (self.constant(&node, 2), integer(&node, "block_size", 0));
                    let block = usize::try_from(block).map_err(|_| misfit())?;
                    let axis = integer(&node, "axis", 1);
                    let folded = quantised.dequantised(scale, zero, axis, block).ok_or_else(misfit)?;
                    Some(Ok(Some(folded)))
                }
                _ => None,
            },
            "Reshape" => {
                match (self.constant(&node, 0), self.constant(&node, 1).and_then(Constant::integers)) {
                    (Some(constant), Some(shape)) => {
                        Some(Ok(Some(constant.reshaped(shape).ok_or_else(misfit)?)))
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        match folded.transpose()?.flatten() {
            Some(constant) => self.put(&output, constant),
            None => self.nodes.push(node),
        }
        Ok(())
    }

    /// Takes each `BatchNormalization` into the `Conv` or `Gemm` before it, if nobody else sees what that gives.
    fn normalisations(&mut self) -> Result<(), GraphError> {
        let mut at = 0;
        while at < self.nodes.len() {
            match self.before(at) {
                Some(before) => {
                    let node = self.nodes.remove(at);
                    self.absorb(before, &node)?;
                }
                None => at += 1,
            }
        }
        Ok(())
    }

    fn before(&self, at: usize) -> Option<usize> {
        let node = &self.nodes[at];
        let given = node.input.first().filter(|_| node.op_type.as_deref() == Some("BatchNormalization"))?;
        let uses = self.nodes.iter().flat_map(|node| &node.input).filter(|input| *input == given).count();
        let before = self.nodes[..at].iter().position(|node| node.output.first() == Some(given))?;
        let producer = &self.nodes[before];
        let plain = match producer.op_type.as_deref()? {
            "Conv" => true,
            "Gemm" => {
                integer(producer, "transB", 0) == 1
                    && [("alpha", 1.0), ("beta", 1.0)].iter().all(|(name, one)| {
                        attribute(producer, name).and_then(|it| it.f).unwrap_or(*one).to_bits()
                            == one.to_bits()
                    })
            }
            _ => false,
        };
        let weights = self.constant(producer, 1).is_some_and(|it| it.floats().is_some());
        let bias =
            producer.input.len() < 3 || self.constant(producer, 2).is_some_and(|it| it.floats().is_some());
        let normal = (1..5).all(|input| self.constant(node, input).is_some_and(|it| it.floats().is_some()));
        (plain && weights && bias && normal && uses == 1 && !self.outputs.contains(given)).then_some(before)
    }

    /// `scale · (x - mean) / sqrt(variance + epsilon) + shift`, where x = weights · input + bias.
    fn absorb(&mut self, before: usize, normal: &NodeProto) -> Result<(), GraphError> {
        let output = normal.output.first().cloned().unwrap_or_default();
        let misfit =
            || GraphError::Operator { operator: "BatchNormalization".to_owned(), output: output.clone() };
        let epsilon = f64::from(attribute(normal, "epsilon").and_then(|it| it.f).unwrap_or(1e-5));
        let floats = |at| self.constant(normal, at).and_then(Constant::floats).ok_or_else(misfit);
        let (scale, shift, mean, variance) = (floats(1)?, floats(2)?, floats(3)?, floats(4)?);
        let producer = &self.nodes[before];
        let weights = self.constant(producer, 1).ok_or_else(misfit)?;
        let channels = weights.dims.first().copied().unwrap_or(0);
        let old_bias = self.constant(producer, 2).and_then(Constant::floats);
        let fits = |floats: &[f32]| floats.len() == channels;
        let all_fit = [scale, shift, mean, variance].into_iter().chain(old_bias).all(fits);
        if channels == 0 || !all_fit {
            return Err(misfit());
        }
        let factor =
            |channel: usize| f64::from(scale[channel]) / (f64::from(variance[channel]) + epsilon).sqrt();
        let mut floats = weights.floats().ok_or_else(misfit)?.to_vec();
        let each = floats.len() / channels;
        for (channel, weights) in floats.chunks_exact_mut(each.max(1)).enumerate() {
            weights.iter_mut().for_each(|weight| *weight = (f64::from(*weight) * factor(channel)) as f32);
        }
        let bias = |channel: usize| {
            let before = old_bias.map_or(0.0, |bias| f64::from(bias[channel])) - f64::from(mean[channel]);
            (before * factor(channel) + f64::from(shift[channel])) as f32
        };
        let bias: Vec<f32> = (0..channels).map(bias).collect();
        let weights = Constant { dims: weights.dims.clone(), elements: Elements::Float(floats) };
        let bias = Constant { dims: vec![channels], elements: Elements::Float(bias) };
        let (weights_name, bias_name) = (format!("{output}/weights"), format!("{output}/bias"));
        self.put(&weights_name, weights);
        self.put(&bias_name, bias);
        let producer = &mut self.nodes[before];
        producer.input.truncate(1);
        producer.input.extend([weights_name, bias_name]);
        producer.output = vec![output];
        Ok(())
    }

    /// Is it what the graph is asked with: used, and no constant?
    fn is_open(&self, name: &String) -> bool {
        !self.initializers.contains_key(name) && self.nodes.iter().any(|node| node.input.contains(name))
    }

    /// The graph of what is left, without constants that nobody uses.
    fn end(
        mut self,
        input: Vec<rten_onnx::onnx::ValueInfoProto>,
        output: Vec<rten_onnx::onnx::ValueInfoProto>,
    ) -> GraphProto {
        let used: HashSet<&String> = self.nodes.iter().flat_map(|node| &node.input).collect();
        let order = self.order.iter().filter(|name| used.contains(name));
        let initializer = order.filter_map(|name| self.initializers.remove(name)).collect();
        GraphProto { node: self.nodes, initializer, input, output, ..GraphProto::default() }
    }
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name.as_deref() == Some(name))
}

fn integer(node: &NodeProto, name: &str, default: i64) -> i64 {
    attribute(node, name).and_then(|attribute| attribute.i).unwrap_or(default)
}
