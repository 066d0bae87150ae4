import Compression
import Federation
import ModelGraph
import Tensors
import Transport
import UpdateCodec

/// The model that updates and calibrations are about. Small, but with every kind of tensor: masked, whole, and empty of
/// values.
enum FuzzModel {
    static let masks = MaskSet(
        epoch: 3, bitmaps: ["x": bitmap(90) { $0 % 2 == 0 }, "y": bitmap(40) { $0 % 3 == 0 }])
    static let tensors = NamedTensors([
        ("x", tensor([9, 10], seed: 1)), ("y", tensor([40], seed: 2)), ("z", tensor([200], seed: 3)),
    ])
    static let layout = TensorLayout(tensors)
    static let calibrated = ["a", "b"]

    static func tensor(_ shape: Shape, seed: UInt64) -> Tensor {
        var random = SeededGenerator(seed: seed)
        return Tensor((0..<shape.elementCount).map { _ in random.uniform() + random.uniform() - 1 }, shape: shape)
    }

    /// What structure changes are applied to.
    static let graphs: [Graph] = [
        try? ModelBuilder.build(architecture: "resnet20", inputShape: [3, 8, 8], classes: 4, width: 4, seed: 1),
        try? ModelBuilder.build(architecture: "transformer", inputShape: nil, classes: nil, width: nil, seed: 1),
    ].compactMap(\.self)

    /// Of the small layers of each.
    static let moments: [MomentLayout] = graphs.compactMap { graph in
        guard let layers = try? graph.factorizableLayers().layers else { return nil }
        return MomentLayout(Array(layers.prefix(3)), choice: .auto)
    }

    /// The first half of each group, and every residual block.
    static let changes: [StructureChange] = graphs.flatMap { graph in
        let groups = (try? graph.channelGroups())?.groups ?? []
        let channels = groups.map {
            StructureChange.Channels(group: $0.name, width: $0.channels, kept: Array(0..<($0.channels + 1) / 2))
        }
        let blocks = ((try? graph.residualBlocks()) ?? []).map(\.name)
        return [StructureChange(channels: channels), StructureChange(blocks: blocks.sorted(), borders: .keep)]
    }

    private static func bitmap(_ count: Int, _ isAlive: (Int) -> Bool) -> Bitmap {
        var bitmap = Bitmap(repeating: false, count: count)
        for index in 0..<count where isAlive(index) { bitmap[index] = true }
        return bitmap
    }
}

extension FuzzTarget {
    /// Valid inputs, from the encoders themselves.
    public func seeds() -> [[UInt8]] {
        switch self {
        case .workerMessage: Self.workerMessages.map { $0.encoded() }
        case .coordinatorMessage: Self.coordinatorMessages.map { $0.encoded() }
        case .update, .description: Self.updates
        case .snapshot:
            [Snapshot(graph: Self.digest, parameters: FuzzModel.tensors, masks: FuzzModel.masks).serialized()]
        case .moments:
            FuzzModel.moments.map { layout in
                // Of nothing but zeros, and a perfect correlation of the last two.
                var bytes = MomentSet(zeros: layout).serialized()
                for place in bytes.indices.suffix(12) where place % 4 == 3 { bytes[place] = 0x3f }
                return bytes
            } + FuzzModel.moments.map { MomentSet(zeros: $0).serialized() }
        case .calibration: [CalibrationSet(names: FuzzModel.calibrated).serialized(), Self.calibrationOfOnes]
        case .structure: FuzzModel.changes.map { $0.serialized() }
        case .graph: Self.graphs + ExternalDataFixture.seeds
        case .plan: [Array(Self.planText.utf8)]
        case .frames: HostileFrames.seeds()
        case .npy: Self.arrays.compactMap { try? Npy.serialize($0) }
        case .idx: Self.idxFiles
        case .safetensors:
            [Safetensors.serialize(FuzzModel.tensors, metadata: ["made": "for fuzzing"])]
                + Self.arrays.map { Safetensors.serialize(NamedTensors([("x", $0), ("y", $0)])) }
        case .image: HostileImages.seeds()
        }
    }

    private static let digest = Digest(bytes: Array(1...32)).unsafelyUnwrapped
    private static let blob = BlobReference(digest: digest, byteCount: 1000)

    private static let workerMessages: [WorkerMessage] = [
        .hello(Hello(software: "0.1", trainingSamples: 60, classes: 10, sampleShape: [1, 28, 28], threads: 1)),
        .ready(held: [digest, digest]), .heartbeat(round: 3, progress: 0.5), .heartbeat(round: nil, progress: 0),
        .submission(Submission(round: 4, blob: blob, metrics: TaskMetrics(samples: 60, lossSum: 1.5, correct: 3))),
        .decline(round: 1, reason: "no"), .goodbye(reason: "bye"),
    ]

    private static let coordinatorMessages: [CoordinatorMessage] = {
        let recipe = Recipe(architecture: "cnn", inputShape: [1, 28, 28], classes: 10, width: 4, seed: 7)
        let reference = SnapshotReference(
            version: 2, snapshot: blob, graph: blob, maskEpoch: 1,
            route: [DeltaReference(blob: blob, from: digest, to: digest)], recipe: recipe)
        let scope = QuantizationScope(target: .arm, equalizes: true, excluded: ["x"])
        let work: [TaskWork] = [
            .train(
                TrainingRecipe(),
                teacher: TeacherReference(source: .snapshot(reference), temperature: 4, alpha: 0.5)),
            .train(TrainingRecipe(), teacher: TeacherReference(source: .model(blob), temperature: 4, alpha: 0.5)),
            .score(
                ScoreRequest(samples: 64, batch: 8),
                MaskDecision(
                    rules: MaskRules(granularity: .channel, rule: .union, excluded: ["x"]), amount: .macs(1000))),
            .moments(samples: 64, FactorizableSelection(method: .spatial, only: ["x"])),
            .calibrate(samples: 64, scope), .evaluate(samples: nil, compact: blob),
            .inputMoments(samples: 64, scope), .compare(samples: 64, scope, compact: blob),
            .sensitivity(
                SensitivityRequest(
                    samples: 64, scope: scope, weights: WeightRules(bits: 4, sharing: .block(32), range: .minMax),
                    bits: [2, 4, 8])),
            .train(TrainingRecipe(statistics: .frozen), teacher: nil),
            .logits(LogitsRequest(samples: 64, classes: 10, trainedRound: 4)),
            .train(
                TrainingRecipe(ensemble: EnsembleLesson(EnsemblePlan(), consensus: blob, share: 0.5)), teacher: nil),
        ]
        return work.map {
            .task(
                TaskOffer(
                    round: 5, leaseSeconds: 10, seed: 9, snapshot: reference,
                    scheme: WireScheme(
                        selection: .topK(density: 0.1, method: .block), values: .codebook16, rounding: .stochastic,
                        scaling: .leastSquares, levels: .kMeans, coding: .plain, rotates: true, budget: 5_000,
                        momentum: 0.5, clipNorm: 3),
                    acceptedRounds: 4,
                    retain: [digest], work: $0))
        } + [
            .welcome(version: 3, run: "run", heartbeatSeconds: 1, acceptedRounds: 2), .refusal(.data, reason: "no"),
            .wait(reason: "for others"), .verdict(round: 1, accepted: false, reason: "late"),
            .withdrawal(round: 2, reason: "over"), .finished(succeeded: true, reason: ""),
        ]
    }()

    /// Every value format with every way to tell positions, coded and plain, rotated, with masks and with a change of them.
    private static let updates: [[UInt8]] = {
        var result: [[UInt8]] = []
        var pruned = FuzzModel.masks
        pruned.epoch = 4
        for index in stride(from: 0, to: 90, by: 4) { pruned.bitmaps["x"]?[index] = false }
        for values in ValueFormat.allCases {
            for (number, selection) in [
                Selection.dense, .topK(density: 0.05), .topK(density: 0.5), .topK(density: 0.95),
                .topK(density: 0.02, method: .block),
            ].enumerated() {
                let scheme = WireScheme(
                    selection: selection, values: values, blockSize: 16, levels: .kMeans,
                    coding: number % 2 == 0 ? .plain : .smallest, rotates: number % 3 == 0, smallTensorElements: 8)
                for (kind, masks, newMasks) in [
                    (UpdateKind.update, MaskSet(), MaskSet?.none), (.update, FuzzModel.masks, nil),
                    (.delta, FuzzModel.masks, pruned),
                ] {
                    let epoch = newMasks?.epoch ?? masks.epoch
                    let header = UpdateHeader(kind: kind, base: digest.bytes, maskEpoch: epoch)
                    let encoded = try? UpdateEncoder.encode(
                        FuzzModel.tensors, header: header, scheme: scheme, masks: masks, newMasks: newMasks, seed: 1)
                    if let encoded { result.append(encoded.bytes) }
                }
            }
        }
        return result
    }()

    /// Tensor a: the value 1, once; tensor b: nothing.
    private static let calibrationOfOnes: [UInt8] = {
        var bytes = Array("PLCAL1\n\0".utf8) + [2, 1, UInt8(ascii: "a"), 1]
        for value in [Float(1), 1] { bytes += littleEndian(value.bitPattern) }
        bytes += littleEndian(Int128(1) << 20) + littleEndian(Int128(1) << 40)
        // One bin: 3,072 bins come before it.
        return bytes + [1, 0x81, 0x18, 1, 1, UInt8(ascii: "b"), 0]
    }()

    private static func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }

    private static let graphs: [[UInt8]] = [
        ("mlp", [4]), ("cnn", [1, 8, 8]), ("transformer", [3, 5]),
    ].flatMap { (architecture: String, shape: [Int]) -> [[UInt8]] in
        let graph = try? ModelBuilder.build(
            architecture: architecture, inputShape: shape, classes: 2, width: architecture == "transformer" ? 4 : 2,
            seed: 7)
        return graph.map {
            [$0.serialized(), $0.skeleton().serialized(), PackedBlob.pack($0.skeleton().serialized())]
        } ?? []
    }

    private static let arrays: [Tensor] = ElementType.allCases.map { Tensor(zeros: [2, 3], elementType: $0) }

    /// Two images of 3 x 3, plain and compressed, and a list of labels.
    private static let idxFiles: [[UInt8]] = [
        [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 3] + Array(0..<18), [0, 0, 8, 1, 0, 0, 0, 4, 7, 2, 1, 0],
        compressedIdx,
    ]

    private static let compressedIdx: [UInt8] = [
        31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 99, 96, 224, 96, 102, 96, 96, 96, 2, 98, 102, 48, 102, 100, 98, 102, 97,
        101, 99, 231, 224, 228, 226, 230, 225, 229, 227, 23, 16, 4, 0, 211, 88, 8, 2, 34, 0, 0, 0,
    ]

    private static let planText = """
        name: small
        seed: 7
        model: {architecture: cnn, width: 4}
        data: "synthetic:digits?partition=dirichlet:1&seed=7&samples=600"
        fleet: {workers: 2, quorum: 2, wait: 60s, lease: 10s, heartbeat: 1s}
        wire:
          up: {density: 0.1, values: int4}
          down: {density: 0.1, values: int4}
        stages:
          - train: {rounds: 3, epochs: 1, batch: 32, learningRate: 0.05, schedule: cosine}
          - prune: {criterion: taylor, sparsity: 0.6, steps: 2, scoreSamples: 64, epochs: 0.5, learningRate: 0.03}
          - distill: {teacher: {stage: 1}, rounds: 1, epochs: 0.5, learningRate: 0.02}
          - quantize: {averageBits: 4, candidates: [2, 4, 8], range: leastSquares, calibration: percentile,
                       percentile: 99.9, samples: 64, sensitivitySamples: 32, maximumDrop: 1, exclude: [fc2]}
        export: {target: x86, opset: 17}
        """
}
