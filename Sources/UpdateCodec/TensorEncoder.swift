import CKernels
import Tensors

/// One tensor's way through selection, quantization and coding.
struct TensorEncoder {
    /// A share of magnitudes below which ternary drops an alive value even though all may be sent: 0.7 of the mean
    /// magnitude is near the least squared error for weights of one scale (Li, Zhang, Liu 2016, equation 6).
    static let ternaryThreshold = 0.7

    struct Result {
        /// Values sent; 0 when nothing was written.
        var kept = 0
        /// As far as they were asked for.
        var decoded: Tensor?
        var residual: Tensor?
    }

    let name: String
    let mask: Bitmap?
    let scheme: WireScheme
    var force = WorkForce.alone

    /// Codes one tensor and appends its record to `bytes`, as that of tensor `index` behind that of tensor `previous`.
    /// A tensor that nobody else holds becomes its own residual in place.
    func encode(
        _ tensor: consuming Tensor, counter: UInt64, index: Int = 0, after previous: Int = -1, keeping: CodedParts,
        to bytes: inout [UInt8]
    ) throws(CodecError) -> Result {
        guard tensor.elementType == .float32 else { throw .notFloat32(tensor: name, found: tensor.elementType) }
        var survey = survey(tensor)
        guard survey.isFinite else { throw .notFinite(tensor: name) }
        let shape = tensor.shape
        // Moved, not shared, so that the residual can take the elements' place.
        var alive = gatherAlive(tensor)
        if mask != nil { survey = self.survey(alive) }
        let start = bytes.count
        let kept = write(alive, survey, counter: counter, elements: shape.elementCount, index, previous, to: &bytes)
        guard kept > 0 else { return nothing(of: alive, shape: shape, keeping: keeping) }
        var result = Result(kept: kept)
        guard !keeping.isEmpty else { return result }
        let written = WrittenRecord(bytes, from: start, elements: shape.elementCount, previous: previous, force: force)
        if keeping.contains(.decoded) { result.decoded = spread(written.decoded(like: alive), shape: shape) }
        if keeping.contains(.residual) {
            written.subtract(from: &alive)
            result.residual = spread(alive, shape: shape)
        }
        return result
    }

    /// Writes nothing of a tensor: all of it is owed.
    func leaveOut(_ tensor: consuming Tensor, keeping: CodedParts) throws(CodecError) -> Result {
        guard tensor.elementType == .float32 else { throw .notFloat32(tensor: name, found: tensor.elementType) }
        guard survey(tensor).isFinite else { throw .notFinite(tensor: name) }
        let shape = tensor.shape
        return nothing(of: gatherAlive(tensor), shape: shape, keeping: keeping)
    }

    /// The result for a tensor of which nothing was written.
    private func nothing(of alive: consuming Tensor, shape: Shape, keeping: CodedParts) -> Result {
        var result = Result()
        if keeping.contains(.decoded) { result.decoded = Tensor(zeros: shape) }
        if keeping.contains(.residual) { result.residual = spread(alive, shape: shape) }
        return result
    }

    private func survey(_ tensor: borrowing Tensor) -> BlockSurvey {
        tensor.withElements(as: Float.self) { BlockSurvey($0, block: scheme.blockSize, force: force) }
    }

    /// Returns how many values were written; 0 when all is zero, and then nothing was.
    private func write(
        _ alive: Tensor, _ survey: BlockSurvey, counter: UInt64, elements: Int, _ index: Int, _ previous: Int,
        to bytes: inout [UInt8]
    ) -> Int {
        alive.withElements(as: Float.self) { alive in
            guard survey.overallBits != 0 else { return 0 }
            let isSmall = alive.count <= scheme.smallTensorElements
            let format = ValueWriter.format(isSmall ? scheme.smallValues : scheme.values, largest: survey.largest)
            let chosen = choose(alive, survey, selection: isSmall ? .dense : scheme.selection, format: format)
            bytes.appendVarint(index - previous - 1)
            bytes.appendVarint(elements)
            bytes.appendVarint(elements - alive.count)
            // The form is known when the values are written.
            let formPlace = bytes.count
            bytes.append(0)
            bytes.append(format.rawValue)
            let positions = chosen.map { appendPositions($0, domain: alive.count, to: &bytes) } ?? .dense
            let writer = ValueWriter(
                format: format, scheme: scheme, counter: counter, isSparse: chosen != nil, force: force)
            let form =
                chosen?.values.withUnsafeBufferPointer { writer.append($0, survey: nil, to: &bytes) }
                ?? writer.append(alive, survey: survey, to: &bytes)
            bytes[formPlace] = TensorRecord.form(positions, isRice: form.isRice, isRotated: form.isRotated)
            return chosen?.ranks.count ?? alive.count
        }
    }

    /// Count and positions of what was chosen, in the smallest way this coding allows.
    private func appendPositions(
        _ chosen: MagnitudeSelection, domain: Int, to bytes: inout [UInt8]
    ) -> PositionScheme {
        let kept = chosen.ranks.count
        let subset = CodedSubset(chosen.ranks, domain: domain, takesRice: scheme.coding != .plain, force: force)
        if let blocks = scheme.selection.blocks(domain: domain), blocks.count == kept,
            blocks.isFilled(by: chosen.ranks),
            blocks.byteCount < subset.bytes.count
        {
            bytes.appendVarint(blocks.perBlock)
            bytes += blocks.bytes(chosen.ranks)
            return .blocks
        }
        bytes.appendVarint(kept)
        bytes += subset.bytes
        return subset.scheme
    }

    /// What to send, by rank among the alive; nil for all of it.
    private func choose(
        _ alive: UnsafeBufferPointer<Float>, _ survey: BlockSurvey, selection: Selection, format: ValueFormat
    ) -> MagnitudeSelection? {
        let chosen: MagnitudeSelection
        switch selection {
        case .topK(let density, let method):
            let count = min(alive.count, max(1, Int((density * Double(alive.count)).rounded())))
            switch method {
            case .exact: chosen = .largest(count, of: alive, force: force)
            case .threshold:
                let about = MagnitudeSelection.aboveSampledThreshold(count, of: alive, force: force)
                // A sample of a few can miss everything, and equal magnitudes pass a threshold all or none.
                let isNear = about.ranks.count >= count / 2 && about.ranks.count <= 2 * count + 64
                chosen = isNear && !about.ranks.isEmpty ? about : .largest(count, of: alive, force: force)
            case .block:
                guard let blocks = selection.blocks(domain: alive.count) else { return nil }
                chosen = .largestOfBlocks(blocks, of: alive, force: force)
            }
        case .dense where format == .ternary:
            let mean = pleach_sum_abs(alive.baseAddress, alive.count) / Double(alive.count)
            // Among the smallest denormals the threshold can round up to the largest magnitude; that one stays.
            let threshold = min(Float(Self.ternaryThreshold * mean), survey.largest.nextDown)
            chosen = .above(magnitude: threshold, of: alive, expecting: alive.count * 2 / 3, force: force)
        case .dense:
            // Where most values are 0, a bitmap and the others cost less than all.
            let nonzero = survey.nonzero
            guard nonzero * format.bitCount + alive.count < alive.count * format.bitCount else { return nil }
            chosen = .nonzero(of: alive, expecting: nonzero, force: force)
        }
        return chosen.ranks.count == alive.count ? nil : chosen
    }

    private func gatherAlive(_ tensor: consuming Tensor) -> Tensor {
        guard let mask else { return tensor }
        return Tensor(float32: [mask.populationCount]) { out in
            let count = tensor.withElements(as: Float.self) {
                pleach_gather_ones($0.baseAddress, mask.bytes, mask.count, out.baseAddress)
            }
            precondition(count == out.count, "a mask's population count is wrong")
        }
    }

    /// Puts alive elements in their places; the dead are 0.
    private func spread(_ alive: consuming Tensor, shape: Shape) -> Tensor {
        guard let mask else { return alive }
        var tensor = Tensor(zeros: shape)
        let indices = CodedSubset.members(of: mask.bytes, domain: mask.count)
        tensor.withMutableElements(as: Float.self) { target in
            alive.withElements(as: Float.self) { alive in
                for (value, index) in zip(alive, indices) { target[Int(index)] = value }
            }
        }
        return tensor
    }
}

extension Selection {
    /// The blocks that selection by block fills; nil for other selections, and where all would be taken.
    func blocks(domain: Int) -> PositionBlocks? {
        guard case .topK(let density, .block) = self else { return nil }
        let perBlock = max(1, Int((density * Double(PositionBlocks.size)).rounded()))
        let blocks = PositionBlocks(domain: domain, perBlock: perBlock)
        return perBlock < PositionBlocks.size && blocks.count < domain ? blocks : nil
    }
}
