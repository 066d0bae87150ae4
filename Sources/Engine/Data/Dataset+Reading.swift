import Tensors

/// A batch, and which samples are in it.
public struct LoadedBatch: Sendable, Equatable {
    public let batch: Batch
    /// The sample of each row: what was asked for, less what was damaged.
    public let indices: [Int]
    public let damaged: [DamagedSample]
    /// Counts the epochs of a plan; 0 when there is none.
    public internal(set) var epoch = 0
}

extension Dataset {
    /// The samples at `indices`, in that order, with all inputs. Damaged samples are left out and listed.
    /// - Parameters:
    ///   - seed: decides what the SPEC's augmentation does and which tokens are masked; nil for no augmentation and always the
    ///     same mask.
    ///   - classes: columns of the probabilities that mixup makes of labels, at least `classCount`, which it is when nil.
    /// - Throws: `DataError.damagedSample` when an image has another size than all must have.
    ///
    /// Precondition: every index is in `0..<count`.
    public func samples(
        at indices: some Collection<Int>, augmentedBy seed: AugmentationSeed? = nil, classes: Int? = nil
    ) throws(DataError) -> LoadedBatch {
        let (loaded, fatal) = gather(Array(indices), seed: seed, classes: classes)
        if let fatal { throw fatal.error }
        return loaded
    }

    func gather(
        _ indices: [Int], seed: AugmentationSeed?, classes: Int?
    ) -> (loaded: LoadedBatch, fatal: SampleFault?) {
        for index in indices { precondition(index >= 0 && index < count, "sample \(index) of \(count)") }
        var faults = [SampleFault?](repeating: nil, count: indices.count)
        var batch: Batch
        switch content {
        case .tokens(let windows): batch = tokens(windows, indices, seed: seed, faults: &faults)
        case .fields(let fields, let values):
            let places = indices.map { rows[$0] }
            var inputs = NamedTensors()
            for field in fields { inputs[field.name] = field.gather(places, faults: &faults) }
            let targets = values?.gather(places, faults: &faults) ?? labelTensor(indices)
            batch = Batch(inputs: inputs, targets: targets)
        }
        let kept = indices.indices.filter { faults[$0] == nil }
        let samples = kept.map { indices[$0] }
        if kept.count < indices.count { batch = batch.keeping(kept) }
        if let augmentation, let seed { augment(&batch, augmentation, samples, seed: seed, classes: classes) }
        let found = faults.compactMap { $0 }
        let damaged = found.map { DamagedSample(name: $0.name, reason: $0.reason) }
        tally.add(visited: indices.count, damaged: damaged)
        return (LoadedBatch(batch: batch, indices: samples, damaged: damaged), found.first { $0.isFatal })
    }

    private func labelTensor(_ indices: [Int]) -> Tensor {
        guard let shape = try? Shape([indices.count]) else { preconditionFailure("\(indices.count) labels") }
        return Tensor(indices.map { labels[$0] }, shape: shape)
    }

    private func augment(
        _ batch: inout Batch, _ augmentation: Augmentation, _ samples: [Int], seed: AugmentationSeed, classes: Int?
    ) {
        augmentation.apply(to: &batch.inputs, samples: samples, seed: seed)
        guard let alpha = augmentation.options.mixup else { return }
        let weights = Mixup(alpha: alpha).weights(samples, seed: seed)
        for (name, tensor) in batch.inputs.ordered { batch.inputs[name] = Mixup.mix(tensor, weights: weights) }
        let targets =
            targets == .classes
            ? Mixup.probabilities(samples.map { labels[$0] }, classCount: max(classCount, classes ?? 0))
            : batch.targets
        batch.targets = Mixup.mix(targets, weights: weights)
    }

    private func tokens(
        _ windows: TokenWindows, _ indices: [Int], seed: AugmentationSeed?, faults: inout [SampleFault?]
    ) -> Batch {
        let fixed = AugmentationSeed(seed: spec.seed, epoch: 0)
        var (inputs, targets): ([Int64], [Int64]) = ([], [])
        for (turn, index) in indices.enumerated() {
            var generator = (seed ?? fixed).generator(seed == nil ? "fixed mask" : "mask", sample: index)
            do throws(SampleFault) {
                let window = try windows.read(rows[index], using: &generator)
                inputs += window.inputs
                targets += window.targets
            } catch {
                faults[turn] = SampleFault(name: "\(spec.path) \(error.name)", reason: error.reason)
                inputs += repeatElement(0, count: windows.length)
                targets += repeatElement(0, count: windows.length)
            }
        }
        guard let shape = try? Shape([indices.count, windows.length]) else {
            preconditionFailure("\(indices.count) windows of \(windows.length)")
        }
        return Batch(Tensor(inputs, shape: shape), targets: Tensor(targets, shape: shape))
    }
}

extension Batch {
    /// The rows at the given places only.
    func keeping(_ places: [Int]) -> Batch {
        var inputs = inputs
        for (name, tensor) in inputs.ordered { inputs[name] = Self.rows(places, of: tensor) }
        return Batch(inputs: inputs, targets: Self.rows(places, of: targets))
    }

    private static func rows(_ places: [Int], of tensor: Tensor) -> Tensor {
        guard let rows = MemoryRows(tensor).resident(places) else { preconditionFailure("rows in memory") }
        return rows.tensor
    }
}
