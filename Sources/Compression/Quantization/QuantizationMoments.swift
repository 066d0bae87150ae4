import Engine
import ModelGraph
import Tensors

/// On a worker: runs the deployed form of a graph (BatchNormalization folded) and sums x xᵀ over what its quantizable layers
/// multiply. Memory is one batch and the sums, whatever the number of samples. Owned by one thread.
public final class QuantizationMoments {
    public let layout: QuantizationMomentLayout
    private let executable: Executable
    private let given: String
    private let computed: [String]
    private var sums: [SecondMomentSum]

    /// - Throws: `EngineError.unsupported`.
    public init(deployed: Graph, layout: QuantizationMomentLayout) throws(EngineError) {
        self.layout = layout
        executable = try Executable(deployed)
        let given = deployed.inputs.first?.name ?? ""
        self.given = given
        var seen: Set = [given]
        computed = layout.layers.flatMap(\.inputs).filter { seen.insert($0).inserted }
        sums = layout.layers.map { SecondMomentSum(size: $0.momentSize, groups: $0.groups, hasConstant: true) }
    }

    /// Of a graph as it is trained, which is folded here.
    public convenience init(_ graph: Graph) throws(EngineError) {
        let deployed = graph.foldingBatchNormalization()
        try self.init(deployed: deployed, layout: QuantizationMomentLayout(deployed))
    }

    /// Adds a batch of samples for a single-input model.
    /// - Throws: `EngineError`; `CompressionError.activationsNotFinite`.
    public func add(_ inputs: Tensor) throws {
        let values = try executable.run(NamedTensors([(given, inputs)]), outputs: computed)
        for (index, layer) in layout.layers.enumerated() {
            for name in layer.inputs {
                guard let tensor = name == given ? inputs : values[name] else { continue }
                let (images, window) = try layer.patches(of: tensor)
                try sums[index].add(images, window: window)
                try check(sums[index], tensor: name)
            }
        }
    }

    /// A number that is not finite, or too large, shows in its own square.
    private func check(_ sum: SecondMomentSum, tensor: String) throws(CompressionError) {
        let limit = MomentSet.largestMean * Double(sum.places)
        let area = sum.size * sum.size
        for group in 0..<sum.groups {
            for place in 0..<sum.size where !(sum.sum[group * area + place * (sum.size + 1)] <= limit) {
                throw .activationsNotFinite(tensor: tensor)
            }
        }
    }

    /// The means over all places so far. As each sample of a size has the same number of places, means of several workers fold
    /// by their samples.
    /// - Throws: `CompressionError.noData`.
    public func set() throws(CompressionError) -> MomentSet {
        var triangles: [[Float]] = []
        for (layer, sum) in zip(layout.layers, sums) {
            guard sum.places > 0 else { throw .noData(layer.name) }
            let places = Double(sum.places)
            for group in 0..<sum.groups {
                var values: [Float] = []
                values.reserveCapacity(MomentLayout.numbers(sum.size))
                for row in 0..<sum.size {
                    let start = (group * sum.size + row) * sum.size
                    for column in row..<sum.size { values.append(Float(sum.sum[start + column] / places)) }
                }
                triangles.append(values)
            }
        }
        return MomentSet(layout.moments, triangles)
    }

    /// One worker's own moments, in the order of the layout's layers.
    /// - Throws: `CompressionError.noData`.
    public func inputMoments() throws(CompressionError) -> [InputMoments] {
        var fold = MomentFold(layout.moments)
        fold.add(try set(), weight: 1)
        return layout.inputMoments(fold)
    }
}
