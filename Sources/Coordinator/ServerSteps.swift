import Federation
import Ledger
import Tensors
import UpdateCodec

/// The server's optimizer on the elements of a round's mean Δ (Reddi et al. 2021, algorithm 2, without its bias
/// correction, as there; FedAvgM: Hsu et al. 2019, section 4.3):
///
/// - momentum: m ← β m + Δ, step η m
/// - adam: m ← β₁ m + (1 − β₁) Δ, v ← β₂ v + (1 − β₂) Δ², step η m / (√v + τ)
/// - yogi: the same with v ← v − (1 − β₂) Δ² sign(v − Δ²)
///
/// with m = 0 and v = τ² at first. Moments are read and written in pieces; a dead weight has none, so a mask that
/// changes drops them.
struct ServerSteps {
    private let rule: ServerOptimizer
    private let masks: MaskSet
    private let oldFirst: SafetensorsFile?
    private let oldSecond: SafetensorsFile?
    private let first: BlobWriter?
    private let second: BlobWriter?
    private var m: [Float] = []
    private var v: [Float] = []

    /// - Parameters:
    ///   - moments: of the round before; nil begins anew.
    ///   - names: the parameters that get steps, in the order in which they come.
    ///   - blobs: where new moments are written; nil for a pass that only looks.
    init(
        _ rule: ServerOptimizer, moments: ServerMoments?, layout: TensorLayout, names: [String], masks: MaskSet,
        from store: BlobStore, writes: Bool
    ) throws {
        self.rule = rule
        self.masks = masks
        guard rule.kind != .average else {
            (oldFirst, oldSecond, first, second) = (nil, nil, nil, nil)
            return
        }
        oldFirst = try moments.map { try SafetensorsFile(store.map($0.first.digest), path: "first moments") }
        oldSecond = try moments?.second.map { try SafetensorsFile(store.map($0.digest), path: "second moments") }
        let entries = layout.subset(of: names).entries.map {
            (name: $0.name, elementType: ElementType.float32, shape: $0.shape)
        }
        func writer(_ word: String) throws -> BlobWriter {
            let writer = try store.makeWriter(.durable)
            try writer.append(Safetensors.header(of: entries, metadata: [Self.metadataKey: word]))
            return writer
        }
        first = writes ? try writer("first") : nil
        second = writes && rule.kind.isAdaptive ? try writer("second") : nil
    }

    /// Says in a file's metadata that it holds moments, and which.
    static let metadataKey = "pleach.moments"

    /// Turns elements `start`, `start + 1`, ... of a parameter's mean into its step.
    /// - Parameter untrained: places in the piece that nobody trained: they and their moments stay as they are.
    mutating func step(
        _ piece: UnsafeMutableBufferPointer<Float>, of name: String, from start: Int,
        except untrained: [Range<Int>] = []
    ) throws {
        let rate = Float(rule.learningRate)
        guard rule.kind != .average else { return piece.scale(by: rate) }
        try Self.read(oldFirst, name, start, piece.count, initial: 0, into: &m)
        if rule.kind.isAdaptive {
            try Self.read(
                oldSecond, name, start, piece.count, initial: Float(rule.epsilon * rule.epsilon), into: &v)
        }
        drop(name, from: start)
        let kept = untrained.map { range in
            (range: range, first: Array(m[range]), second: rule.kind.isAdaptive ? Array(v[range]) : [])
        }
        switch rule.kind {
        case .average: break
        case .momentum: momentum(piece, rate)
        case .adam: adaptive(piece, rate) { v, square, beta in beta * v + (1 - beta) * square }
        case .yogi:
            adaptive(piece, rate) { v, square, beta in
                let change = (1 - beta) * square
                return v > square ? v - change : v < square ? v + change : v
            }
        }
        for (range, first, second) in kept {
            for place in range { piece[place] = 0 }
            m.replaceSubrange(range, with: first)
            if rule.kind.isAdaptive { v.replaceSubrange(range, with: second) }
        }
        drop(name, from: start)
        try Self.append(m, to: first)
        try Self.append(v, to: second)
    }

    private mutating func momentum(_ piece: UnsafeMutableBufferPointer<Float>, _ rate: Float) {
        let beta = Float(rule.momentum)
        for index in piece.indices {
            let moved = beta * m[index] + piece[index]
            m[index] = moved
            piece[index] = rate * moved
        }
    }

    private mutating func adaptive(
        _ piece: UnsafeMutableBufferPointer<Float>, _ rate: Float,
        _ next: (_ v: Float, _ square: Float, _ beta: Float) -> Float
    ) {
        let (beta1, beta2, epsilon) = (Float(rule.momentum), Float(rule.beta2), Float(rule.epsilon))
        for index in piece.indices {
            let change = piece[index]
            let moved = beta1 * m[index] + (1 - beta1) * change
            let spread = next(v[index], change * change, beta2)
            m[index] = moved
            v[index] = spread
            piece[index] = rate * moved / (spread.squareRoot() + epsilon)
        }
    }

    /// Dead weights have the moments of the beginning.
    private mutating func drop(_ name: String, from start: Int) {
        guard let bitmap = masks[name] else { return }
        let initial = Float(rule.epsilon * rule.epsilon)
        for index in m.indices where !bitmap[start + index] {
            m[index] = 0
            if rule.kind.isAdaptive { v[index] = initial }
        }
    }

    private static func read(
        _ file: SafetensorsFile?, _ name: String, _ start: Int, _ count: Int, initial: Float, into target: inout [Float]
    ) throws {
        target.removeAll(keepingCapacity: true)
        // A parameter that came with a structure change has no moments yet.
        guard let file, file.shape(of: name) != nil else {
            target.append(contentsOf: repeatElement(initial, count: count))
            return
        }
        target.append(contentsOf: repeatElement(0, count: count))
        let isThere = target.withUnsafeMutableBufferPointer { file.add(name, from: start, to: $0) }
        guard isThere else { throw TensorError.missingTensor(name) }
    }

    private static func append(_ values: [Float], to writer: BlobWriter?) throws {
        guard let writer else { return }
        try values.withUnsafeBytes { try writer.append($0) }
    }

    /// What was written; nil where no moments are kept.
    consuming func finish() throws -> ServerMoments? {
        guard let first else { return nil }
        return ServerMoments(first: try first.finish(), second: try second?.finish())
    }
}
