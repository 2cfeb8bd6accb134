//! A model for tests, small enough to be made on the spot: its detector takes a blue square for a face, its embedder the brightness of
//! sixteen blocks for features. Both are ONNX as others export it: with weights in blocks of eight bits, batch normalisation and dropout.

use image::{ImageFormat, Rgb, RgbImage};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataType, Dimension, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, TypeProtoTensor, ValueInfoProto,
};
use std::{cell::RefCell, io::Cursor, path::Path};

/// A face's landmarks in the embedder's crop.
const LANDMARKS: [[f32; 2]; 5] = extractor::description::LANDMARKS;
/// A cell of the detector, in pixels.
const CELL: usize = 32;
/// Where the crop begins, before the middle of the blue square.
const BEFORE: [u16; 2] = [56, 72];

fn tensor(name: &str, dims: &[i64], kind: DataType, raw: Vec<u8>) -> TensorProto {
    TensorProto {
        dims: dims.to_vec(),
        data_type: Some(kind),
        raw_data: Some(RefCell::new(raw)),
        name: Some(name.to_owned()),
        ..TensorProto::default()
    }
}

fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    tensor(name, dims, DataType::FLOAT, values.iter().flat_map(|x| x.to_le_bytes()).collect())
}

fn integers(name: &str, values: &[i64]) -> TensorProto {
    let raw = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    tensor(name, &[values.len() as i64], DataType::INT64, raw)
}

fn node(operator: &str, inputs: &[&str], output: &str, attributes: &[(&str, &[i64])]) -> NodeProto {
    let attribute = |(name, ints): &(&str, &[i64])| match **ints {
        [i] if ["block_size", "axis"].contains(name) => AttributeProto {
            name: Some((*name).to_owned()),
            i: Some(i),
            r#type: Some(AttributeType(2)),
            ..AttributeProto::default()
        },
        _ => AttributeProto {
            name: Some((*name).to_owned()),
            ints: ints.to_vec(),
            r#type: Some(AttributeType::INTS),
            ..AttributeProto::default()
        },
    };
    NodeProto {
        input: inputs.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.to_owned()],
        op_type: Some(operator.to_owned()),
        name: Some(output.to_owned()),
        attribute: attributes.iter().map(attribute).collect(),
        ..NodeProto::default()
    }
}

fn value(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = |dim: &i64| Dimension { dim_value: Some(*dim), ..Dimension::default() };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor_type = TypeProtoTensor { elem_type: Some(DataType::FLOAT), shape: Some(shape) };
    let kind = TypeProto { tensor_type: Some(tensor_type), ..TypeProto::default() };
    ValueInfoProto { name: Some(name.to_owned()), r#type: Some(kind) }
}

fn onnx(graph: GraphProto) -> Vec<u8> {
    let opset = OperatorSetIdProto { domain: Some(String::new()), version: Some(21) };
    let model = ModelProto {
        ir_version: Some(10),
        graph: Some(graph),
        opset_import: vec![opset],
        ..ModelProto::default()
    };
    model.write_buf().unwrap()
}

/// A square of 32 pixels that is all blue, on the grid of these squares, is a face.
fn detector() -> Vec<u8> {
    let mut graph = GraphProto { input: vec![value("input", &[1, 3, 64, 64])], ..GraphProto::default() };
    let middle = CELL as f32 / 2.0;
    let place =
        |at: usize, axis: usize| (middle - f32::from(BEFORE[axis]) + LANDMARKS[at][axis]) / CELL as f32;
    let points: Vec<f32> = (0..5).flat_map(|at| [place(at, 0), place(at, 1)]).collect();
    // A box of 96 × 128 around the middle of the square.
    let area = [0.5, 0.5, 3f32.ln(), 4f32.ln()];
    for stride in [8, 16, CELL] {
        for (kind, biases) in [("cls", &[0.0][..]), ("obj", &[0.0]), ("bbox", &area), ("kps", &points)] {
            let (name, channels, pixels) = (format!("{kind}_{stride}"), biases.len(), stride * stride);
            let mut weights = vec![0.0; channels * 3 * pixels];
            if stride == CELL && channels == 1 {
                weights[..pixels].fill(1.0 / (255.0 * pixels as f32)); // blue comes first
            }
            let (stride, channels) = (stride as i64, channels as i64);
            graph.initializer.push(floats(&format!("{name}.w"), &[channels, 3, stride, stride], &weights));
            graph.initializer.push(floats(&format!("{name}.b"), &[channels], biases));
            graph.initializer.push(integers(&format!("{name}.s"), &[1, -1, channels]));
            let [weights, biases, shape, cells, last] =
                ["w", "b", "s", "c", "t"].map(|it| format!("{name}.{it}"));
            let sizes: [(&str, &[i64]); 2] =
                [("kernel_shape", &[stride, stride]), ("strides", &[stride, stride])];
            graph.node.push(node("Conv", &["input", &weights, &biases], &cells, &sizes));
            graph.node.push(node("Transpose", &[&cells], &last, &[("perm", &[0, 2, 3, 1])]));
            graph.node.push(node("Reshape", &[&last, &shape], &name, &[]));
            graph.output.push(value(&name, &[1, 64 * 64 / (stride * stride), channels]));
        }
    }
    onnx(graph)
}

/// The brightness of 16 blocks of 28 pixels, without the blue, less a half.
fn embedder() -> Vec<u8> {
    const BLOCK: i64 = 28;
    let pixels = (BLOCK * BLOCK) as usize;
    // In eight bits, with one scale for each colour: red and green are seen.
    let weights = vec![1u8; 3 * pixels];
    let scale = 1.0 / (2.0 * 255.0 * pixels as f32);
    let initializer = vec![
        tensor("w8", &[1, 3 * pixels as i64], DataType::INT8, weights),
        floats("scale", &[1, 3], &[scale, scale, 0.0]),
        integers("shape", &[1, 3, BLOCK, BLOCK]),
        floats("gamma", &[1], &[2.0]),
        floats("beta", &[1], &[0.0]),
        floats("mean", &[1], &[0.5]),
        floats("variance", &[1], &[1.0]),
    ];
    let sizes: [(&str, &[i64]); 2] = [("kernel_shape", &[BLOCK, BLOCK]), ("strides", &[BLOCK, BLOCK])];
    let blocks: [(&str, &[i64]); 2] = [("axis", &[1]), ("block_size", &[pixels as i64])];
    let node = vec![
        node("DequantizeLinear", &["w8", "scale"], "w32", &blocks),
        node("Reshape", &["w32", "shape"], "w", &[]),
        node("Conv", &["data", "w"], "blocks", &sizes),
        node("BatchNormalization", &["blocks", "gamma", "beta", "mean", "variance"], "normal", &[]),
        node("Dropout", &["normal"], "kept", &[]),
        node("Flatten", &["kept"], "features", &[]),
    ];
    let (input, output) = (vec![value("data", &[1, 3, 112, 112])], vec![value("features", &[1, 16])]);
    onnx(GraphProto { node, initializer, input, output, ..GraphProto::default() })
}

/// Imports it into this folder of models, and returns its id.
pub fn install(models: &Path) -> String {
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(file("detector.onnx"), detector()).unwrap();
    std::fs::write(file("embedder.onnx"), embedder()).unwrap();
    std::fs::write(file("tiny.toml"), "name = 'tiny'\ndimension = 16\nlicence = 'CC0-1.0'\n").unwrap();
    let (describe, seen) = (file("tiny.toml"), file("detector.onnx"));
    let models = models.to_str().unwrap();
    let arguments = [
        "model",
        "import",
        "--models",
        models,
        "--describe",
        &describe,
        "--detector",
        &seen,
        &file("embedder.onnx"),
    ];
    let told = crate::index(place.path(), &arguments);
    told.split_whitespace().nth(1).unwrap().to_owned()
}

/// The pixels of a photograph with these people side by side, each 160 × 160: no two people look alike.
pub fn pixels(people: &[u64]) -> RgbImage {
    let mut picture = RgbImage::new(160 * people.len() as u32, 160);
    for (at, person) in people.iter().enumerate() {
        let mut chance = ChaCha8Rng::seed_from_u64(*person);
        let blocks: Vec<u8> = (0..16).map(|_| (chance.next_u32() >> 24) as u8).collect();
        let left = 160 * at as u32;
        // The blue square in the middle, and the crop around it.
        let (x0, y0) = (left + 64, 64);
        let (cx, cy) = (x0 + 16 - u32::from(BEFORE[0]), y0 + 16 - u32::from(BEFORE[1]));
        for (x, y) in (0..112).flat_map(|x| (0..112).map(move |y| (x, y))) {
            let value = blocks[(y / 28 * 4 + x / 28) as usize];
            picture.put_pixel(cx + x, cy + y, Rgb([value, value, 0]));
        }
        for (x, y) in (0..CELL as u32).flat_map(|x| (0..CELL as u32).map(move |y| (x, y))) {
            picture.get_pixel_mut(x0 + x, y0 + y).0[2] = 255;
        }
    }
    picture
}

/// The same as a file.
pub fn photograph(people: &[u64], format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    pixels(people).write_to(&mut file, format).unwrap();
    file.into_inner()
}
