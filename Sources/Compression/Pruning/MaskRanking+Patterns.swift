import Tensors

extension MaskRanking {
    /// One block of one tensor.
    private struct Block {
        let tensor: Int
        let number: Int
        /// Mean over its elements, dead ones as 0.
        let score: Double
        let alive: Int
    }

    /// Masks blocks of tensors that compete: the lowest means, until as near to the wanted number of dead weights as whole
    /// blocks come.
    static func decide(
        _ scores: NamedTensors, _ names: [String], _ sparsity: Double, rows: Int, columns: Int,
        layouts: [String: WeightLayout], masks: inout [String: Bitmap]
    ) throws(CompressionError) {
        var blocks: [Block] = []
        var numbering: [[Int]] = []
        var bitmaps: [Bitmap] = []
        var (total, alive) = (0, 0)
        for (tensor, name) in names.enumerated() {
            guard let values = scores[name] else { continue }
            let bitmap = masks[name] ?? Bitmap(repeating: true, count: values.elementCount)
            // Checks sizes and scores as for single weights.
            let candidates = try MaskCandidates(name: name, scores: values, among: bitmap, sparesBest: false)
            alive += candidates.count
            total += values.elementCount
            let layout = try self.layout(of: name, values.shape, layouts, "blocks")
            let numbers = Self.numbers(values.shape, layout, rows: rows, columns: columns)
            var found = Self.blocks(values, bitmap, numbers, tensor: tensor)
            if let best = found.indices.max(by: { (found[$0].score, -$0) < (found[$1].score, -$1) }) {
                found.remove(at: best)
            }
            blocks += found
            numbering.append(numbers)
            bitmaps.append(bitmap)
        }
        blocks.sort { ($0.score, -$0.tensor, -$0.number) < ($1.score, -$1.tensor, -$1.number) }
        var wanted = Int((sparsity * Double(total)).rounded()) - (total - alive)
        var doomed = Array(repeating: Set<Int>(), count: names.count)
        for block in blocks {
            guard 2 * wanted >= block.alive, wanted > 0 else { break }
            wanted -= block.alive
            doomed[block.tensor].insert(block.number)
        }
        for (tensor, name) in names.enumerated() {
            if !doomed[tensor].isEmpty {
                for (element, number) in numbering[tensor].enumerated() where doomed[tensor].contains(number) {
                    bitmaps[tensor][element] = false
                }
            }
            masks[name] = bitmaps[tensor]
        }
    }

    /// The number of each element's block.
    private static func numbers(_ shape: Shape, _ layout: WeightLayout, rows: Int, columns: Int) -> [Int] {
        let matrix = MatrixView(shape, outputAxis: layout.outputAxis)
        let across = (max(1, matrix.columns) - 1) / columns + 1
        var numbers = [Int](repeating: 0, count: shape.elementCount)
        matrix.visit { element, row, column in numbers[element] = row / rows * across + column / columns }
        return numbers
    }

    /// The blocks with an alive element, by ascending number.
    private static func blocks(_ scores: Tensor, _ bitmap: Bitmap, _ numbers: [Int], tensor: Int) -> [Block] {
        let count = (numbers.max() ?? -1) + 1
        var sums = [Double](repeating: 0, count: count)
        var sizes = [Int](repeating: 0, count: count)
        var alive = [Int](repeating: 0, count: count)
        scores.withElements(as: Float.self) { scores in
            for (element, number) in numbers.enumerated() {
                sizes[number] += 1
                guard bitmap[element] else { continue }
                alive[number] += 1
                sums[number] += Double(scores[element])
            }
        }
        return (0..<count).filter { alive[$0] > 0 }.map {
            Block(tensor: tensor, number: $0, score: sums[$0] / Double(sizes[$0]), alive: alive[$0])
        }
    }

    /// N:M along the input axis.
    static func decide(
        scores: NamedTensors, kept: Int, of run: Int, layouts: [String: WeightLayout], previous: MaskSet
    ) throws(CompressionError) -> MaskSet {
        var next = MaskSet(epoch: previous.epoch &+ 1, bitmaps: previous.bitmaps)
        for (name, tensor) in scores.ordered {
            var bitmap = previous[name] ?? Bitmap(repeating: true, count: tensor.elementCount)
            _ = try MaskCandidates(name: name, scores: tensor, among: bitmap, sparesBest: false)
            let axis = try layout(of: name, tensor.shape, layouts, "the pattern \(kept):\(run)").inputAxis
            let extent = tensor.shape[axis]
            let inner = tensor.shape.dimensions[(axis + 1)...].reduce(1, *)
            tensor.withElements(as: Float.self) { scores in
                for lane in 0..<(extent > 0 ? scores.count / extent : 0) {
                    let origin = lane / inner * extent * inner + lane % inner
                    for start in stride(from: 0, to: extent, by: run) {
                        let elements = (start..<min(start + run, extent)).map { origin + $0 * inner }
                        let room = (elements.count * kept + run - 1) / run
                        let ranked = elements.filter { bitmap[$0] }.sorted { (scores[$0], -$0) > (scores[$1], -$1) }
                        for element in ranked.dropFirst(room) { bitmap[element] = false }
                    }
                }
            }
            next.bitmaps[name] = bitmap
        }
        return next
    }

    private static func layout(
        of name: String, _ shape: Shape, _ layouts: [String: WeightLayout], _ need: String
    ) throws(CompressionError) -> WeightLayout {
        guard let layout = layouts[name], shape.dimensions.indices.contains(layout.outputAxis),
            shape.dimensions.indices.contains(layout.inputAxis)
        else { throw .unknownLayout(tensor: name, need: need) }
        return layout
    }
}
