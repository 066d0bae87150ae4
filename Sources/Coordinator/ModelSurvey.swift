import Compression
import Federation
import Ledger
import ModelGraph
import Monitor
import Shell
import UpdateCodec

/// The different models at the start of a run and at the ends of its stages: each is read, counted and written once, so
/// that one of them is in memory at a time.
struct ModelSurvey {
    /// A form in which a model is delivered: floats of the target's width, or the compact file. Masks and weights make no
    /// difference to size or time; structure does.
    enum Form: Hashable {
        case floats(graph: Digest)
        case compact(Digest)
    }

    /// Different models that are timed at most. The first and the last are, then those of the earliest stages.
    static let timedLimit = 24
    /// Bytes of their files together, all of which are open at once.
    static let timedByteLimit = 2 << 30
    /// Seconds of timed runs over all models; loading them takes time as well.
    private static let timedSeconds = 12.0
    /// Seconds after which no further model is read, for counting or for timing.
    private static let readingSeconds = 10.0

    private let history: RunHistory
    private let blobs: BlobStore
    /// Versions at the start and at the end of each finished stage.
    private let ends: [Int]
    private let forms: [Form]
    /// The delivered file in integers, once there is one.
    private let compact: BlobReference?
    private let deadline = ContinuousClock.now + .seconds(Self.readingSeconds)
    private var counted: [Digest: StageCosts.Cost] = [:]
    private var milliseconds: [Form: Double] = [:]

    init(_ history: RunHistory, _ blobs: BlobStore) {
        self.history = history
        self.blobs = blobs
        let ends = [0] + history.stageSnapshots
        let compact = history.plan.export.target.hasIntegerWeights ? history.compact : nil
        let quantized = history.summaries.firstIndex { $0.kind == "quantize" }
        forms = ends.indices.map { place in
            if let compact, let quantized, place > quantized { return .compact(compact.digest) }
            return .floats(graph: history.snapshots[ends[place]].graph.digest)
        }
        self.ends = ends
        self.compact = compact
    }

    /// The figures known so far, at the start and at the end of each stage.
    var costs: [StageCosts.Cost] {
        zip(ends, forms).map { end, form in
            var cost = counted[history.snapshots[end].graph.digest] ?? StageCosts.Cost()
            if case .compact = form { cost.bytes = compact?.byteCount }
            cost.milliseconds = milliseconds[form]
            return cost
        }
    }

    /// How many different models have no time.
    var untimed: Int { Set(forms).count { milliseconds[$0] == nil } }

    /// The plan's target, where ONNX Runtime is not what its files are for.
    var foreignTarget: String? {
        history.plan.export.target == .tensorrt ? history.plan.export.target.rawValue : nil
    }

    /// Counts what is not yet counted, without timing anything.
    mutating func count() { try? count { _, _, _ in } }

    /// Counts and times the models.
    mutating func measure(_ timer: ModelTimer) -> RuntimeMeasurement {
        var timer = timer
        let different = Set(forms)
        timer.options.secondsEach = min(1, Self.timedSeconds / Double(min(different.count, Self.timedLimit)))
        var timed: [Form] = []
        var bytesLeft = Self.timedByteLimit
        let isForeign = foreignTarget != nil
        func takes(_ form: Form, _ bytes: Int) -> Bool {
            if case .compact = form, isForeign { return false }
            guard different.contains(form), timed.count < Self.timedLimit, bytes <= bytesLeft else { return false }
            bytesLeft -= bytes
            timed.append(form)
            return true
        }
        let measurement = timer.measure { add in
            if let compact, takes(.compact(compact.digest), compact.byteCount) {
                let bytes = try blobs.get(compact.digest)
                try add { append in try append(bytes) }
            }
            try count { form, delivered, bytes in
                guard takes(form, bytes) else { return }
                try add { append in try delivered.serialize { piece in try append(piece) } }
            }
        }
        for (form, model) in zip(timed, measurement.models) { milliseconds[form] = model.milliseconds }
        return measurement
    }

    /// Reads each structure that is not yet counted and gives away the model as it would be delivered, with its size.
    private mutating func count(_ visit: (Form, Graph, Int) throws -> Void) throws {
        let (opset, planned) = (history.plan.export.opset, history.plan.export.target)
        // Before its integers a model is in float32.
        let target = planned.hasIntegerWeights ? .float32 : planned
        // The newest snapshot of a structure stands for it.
        let newest = Dictionary(ends.map { (history.snapshots[$0].graph.digest, $0) }, uniquingKeysWith: { $1 })
        for end in [0, ends.last ?? 0] + ends {
            let digest = history.snapshots[end].graph.digest
            guard counted[digest] == nil, let version = newest[digest] else { continue }
            counted[digest] = StageCosts.Cost(parameters: history.snapshots[version].size.parameters)
            guard .now < deadline, let loaded = try? Graph.load(history.snapshots[version], from: blobs) else {
                continue
            }
            // Rounding that training simulates is no part of what is delivered.
            let graph = loaded.withoutSimulatedQuantization().graph
            if let summary = try? graph.summary(fileBytes: 0) {
                counted[digest]?.parameters = summary.parameters
                counted[digest]?.macs = summary.macs
            }
            guard let delivered = try? CompactFile.floats(graph, target, opset: opset) else { continue }
            let bytes = delivered.serializedByteCount
            counted[digest]?.bytes = bytes
            try visit(.floats(graph: digest), delivered, bytes)
        }
    }
}

extension Graph {
    /// The whole model of a snapshot.
    static func load(_ facts: SnapshotFacts, from blobs: BlobStore) throws -> Graph {
        let file = try SnapshotFile(blobs.map(facts.snapshot.digest), path: "snapshot \(facts.snapshot.digest)")
        return try blobs.graph(facts.graph.digest, parameters: file.snapshot().parameters)
    }
}
