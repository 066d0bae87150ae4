import Engine
import ModelGraph
import Tensors

/// On a worker: runs a graph in evaluation mode and sums x xᵀ over what chosen layers multiply or compute. Memory is one
/// batch and the sums, whatever the number of samples. Owned by one thread.
public final class SecondMoments {
    public let layout: MomentLayout
    private let graph: Graph
    private let executable: Executable
    private let computed: [String]
    private let windows: [Int]
    private var sums: [SecondMomentSum]

    /// - Throws: `EngineError.unsupported`.
    public init(_ graph: Graph, layout: MomentLayout) throws(EngineError) {
        self.graph = graph
        self.layout = layout
        executable = try Executable(graph)
        windows = layout.layers.map { $0.momentRows(layout.choice) }
        sums = layout.layers.map { SecondMomentSum(size: layout.size($0)) }
        let given = Set(graph.inputs.map(\.name))
        var seen = Set<String>()
        computed = layout.layers.map(\.measuredValue).filter { !given.contains($0) && seen.insert($0).inserted }
    }

    public convenience init(
        _ graph: Graph, layers: [FactorizableLayer], choice: FactorizationChoice = .auto
    ) throws(EngineError) {
        try self.init(graph, layout: MomentLayout(layers, choice: choice))
    }

    /// Adds a batch; a single tensor goes to a model's single input whatever its name.
    /// - Throws: `EngineError`; `CompressionError.activationsNotFinite`.
    public func add(_ inputs: NamedTensors) throws {
        var given = inputs
        if let only = inputs.ordered.first, inputs.count == 1, let name = graph.inputs.first?.name,
            graph.inputs.count == 1
        {
            given = NamedTensors([(name, only.tensor)])
        }
        let values = try executable.run(given, outputs: computed)
        for (index, layer) in layout.layers.enumerated() {
            guard let tensor = values[layer.measuredValue] ?? given[layer.measuredValue] else { continue }
            let (images, window) = try layer.columns(of: layer.withoutBias(tensor, graph), rows: windows[index])
            try sums[index].add(images, window: window)
            // A place that is not finite, or too large, shows in its own square.
            let size = sums[index].size
            let limit = MomentSet.largestMean * Double(sums[index].places)
            for place in 0..<size where !(sums[index].sum[place * (size + 1)] <= limit) {
                throw CompressionError.activationsNotFinite(tensor: layer.measuredValue)
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
            var values: [Float] = []
            values.reserveCapacity(MomentLayout.numbers(sum.size))
            for row in 0..<sum.size {
                for column in row..<sum.size { values.append(Float(sum.sum[row * sum.size + column] / places)) }
            }
            triangles.append(values)
        }
        return MomentSet(layout, triangles)
    }

    /// The same as float32 [n, n] by weight, as `Factorizer` takes it.
    public func means() throws(CompressionError) -> NamedTensors {
        var fold = MomentFold(layout)
        fold.add(try set(), weight: 1)
        return fold.means()
    }
}

extension FactorizableLayer {
    /// The value whose moment is taken.
    fileprivate var measuredValue: String { output?.value ?? input }

    /// What a value that is measured is without the layer's bias.
    fileprivate func withoutBias(_ tensor: Tensor, _ graph: Graph) throws -> Tensor {
        guard let output, let name = output.bias else { return tensor }
        let bias = try graph.initializers.require(name).floats.map { $0 * output.scale }
        // Behind each channel of an image come its pixels.
        let step = tensor.shape.rank == 4 && !isDense ? tensor.shape[2] * tensor.shape[3] : 1
        var result = tensor
        result.withMutableElements(as: Float.self) { values in
            for index in values.indices { values[index] -= bias[bias.count == 1 ? 0 : index / step % outputs] }
        }
        return result
    }

    private var isDense: Bool { if case .dense = form { true } else { false } }

    /// What the layer reads or computes as images, and which columns of them count.
    fileprivate func columns(of tensor: Tensor, rows: Int) throws -> (Tensor, PatchWindow) {
        // What a layer computes has its steps and borders behind it.
        if readsOutputs, !isDense { return (tensor, PatchWindow()) }
        guard case .convolution(let extents) = form else {
            let width = readsOutputs ? outputs : inputs
            return (try tensor.reshaped(to: try Shape([tensor.elementCount / width, width, 1, 1])), PatchWindow())
        }
        var window = PatchWindow()
        // Tucker-2 multiplies channels at all places before it steps.
        guard rows > 1 || isMatrix, tensor.shape.rank == 4 else { return (tensor, window) }
        let pads = extents.resolvedPads(for: Array(tensor.shape.dimensions[2...]))
        (window.rows, window.rowStep, window.dilation) = (rows, extents.strides[0], extents.dilations[0])
        (window.top, window.bottom) = (pads[0], pads[2])
        if isMatrix {
            window.columnStep = extents.strides[1]
            (window.left, window.right) = (pads[1], pads[3])
        }
        return (tensor, window)
    }
}

extension ConvolutionExtents {
    /// Top, left, bottom and right for an image.
    func resolvedPads(for image: [Int]) -> [Int] {
        guard let autoPad else { return pads }
        guard autoPad != "VALID" else { return [0, 0, 0, 0] }
        let totals = (0..<2).map { axis in
            let windows = (image[axis] + strides[axis] - 1) / strides[axis]
            return max(0, (windows - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1 - image[axis])
        }
        let first = totals.map { autoPad == "SAME_UPPER" ? $0 / 2 : $0 - $0 / 2 }
        return first + [totals[0] - first[0], totals[1] - first[1]]
    }
}
