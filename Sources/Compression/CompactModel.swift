import ModelGraph

/// The model as it is delivered without quantization; with it, it is `ModelQuantizer`'s.
public enum CompactModel {
    /// Plain float32 with BatchNormalization folded.
    public static func float32(graph: Graph, opset: Int64) throws -> Graph {
        try graph.foldingBatchNormalization().convertingOpset(to: opset)
    }
}
