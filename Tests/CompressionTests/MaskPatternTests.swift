import ModelGraph
import Tensors
import Testing

@testable import Compression

struct MaskPatternTests {
    private func tensors(_ pairs: [(String, [Float], Shape)]) -> NamedTensors {
        NamedTensors(pairs.map { ($0.0, Tensor($0.1, shape: $0.2)) })
    }

    private let gemm = WeightLayout(kind: "Gemm", outputAxis: 0, inputAxis: 1)

    @Test func localScopeMasksEachTensorAlike() throws {
        let scores = tensors([("a", [1, 2, 3, 4], [4]), ("b", [10, 20, 30, 40], [4])])
        let masks = try MaskRanking.decide(scores: scores, sparsity: 0.5, scope: .local, previous: MaskSet())
        #expect(bits(masks, "a") == [false, false, true, true] && bits(masks, "b") == [false, false, true, true])
    }

    @Test func isomorphicScopeRanksWithinAKind() throws {
        let scores = tensors([
            ("a", [1, 2, 3, 4], [2, 2]), ("b", [10, 20, 30, 40], [2, 2]), ("c", [5, 6, 7, 8], [2, 2]),
        ])
        let conv = WeightLayout(kind: "Conv 1x1", outputAxis: 0, inputAxis: 1)
        let masks = try MaskRanking.decide(
            scores: scores, sparsity: 0.5, scope: .isomorphic, layouts: ["a": gemm, "b": conv, "c": gemm],
            previous: MaskSet())
        // a and c together lose four, of which a keeps its best: 1, 2, 3 and 5.
        #expect(bits(masks, "a") == [false, false, false, true])
        #expect(bits(masks, "c") == [false, true, true, true])
        #expect(bits(masks, "b") == [false, false, true, true])
        #expect(throws: CompressionError.unknownLayout(tensor: "a", need: "scope 'isomorphic'")) {
            try MaskRanking.decide(scores: scores, sparsity: 0.5, scope: .isomorphic, previous: MaskSet())
        }
    }

    /// By hand: rows of eight and, over a last run of two, one; ties keep the earlier.
    @Test func twoOfFourStay() throws {
        let scores = tensors([("w", [4, 1, 3, 2, 5, 6, 1, 1, 1, 1, 0, 0], [2, 6])])
        let masks = try MaskRanking.decide(
            scores: scores, sparsity: 0, pattern: .nOfM(kept: 2, of: 4), layouts: ["w": gemm], previous: MaskSet())
        #expect(
            bits(masks, "w") == [
                true, false, true, false, false, true, true, true, false, false, true, false,
            ])
    }

    /// Each layout against a reference that asks every run by itself.
    @Test func patternsRunAlongTheInputs() throws {
        var random = SeededGenerator(seed: 50)
        let cases: [(Shape, WeightLayout)] = [
            ([3, 9, 2, 2], WeightLayout(kind: "Conv 2x2", outputAxis: 0, inputAxis: 1)),
            ([6, 5], WeightLayout(kind: "MatMul", outputAxis: 1, inputAxis: 0)),
            ([2, 4, 7], WeightLayout(kind: "LSTM", outputAxis: 1, inputAxis: 2)),
            ([5, 1, 3, 3], WeightLayout(kind: "Conv 3x3 grouped", outputAxis: 0, inputAxis: 1)),
        ]
        for (shape, layout) in cases {
            for (kept, run) in [(2, 4), (1, 4), (1, 2), (3, 5)] {
                let values = (0..<shape.elementCount).map { _ in Float(random.index(below: 6)) }
                var previous = Bitmap(repeating: true, count: values.count)
                for _ in 0..<values.count / 5 { previous[random.index(below: values.count)] = false }
                let masks = try MaskRanking.decide(
                    scores: tensors([("w", values, shape)]), sparsity: 0.3, pattern: .nOfM(kept: kept, of: run),
                    layouts: ["w": layout], previous: MaskSet(bitmaps: ["w": previous]))
                let found = bits(masks, "w")
                let inner = shape.dimensions[(layout.inputAxis + 1)...].reduce(1, *)
                for element in values.indices {
                    let input = element / inner % shape[layout.inputAxis]
                    let start = input / run * run
                    let end = min(start + run, shape[layout.inputAxis])
                    let mates = (start..<end).map { element + ($0 - input) * inner }.filter { previous[$0] }
                    let better = mates.filter {
                        values[$0] > values[element] || values[$0] == values[element] && $0 < element
                    }.count
                    let room = ((end - start) * kept + run - 1) / run
                    #expect(found[element] == (previous[element] && better < room))
                }
            }
        }
    }

    /// A matrix [4, 4] in blocks of 2 x 2 with means 1, 4, 3, 2; half go.
    @Test func blocksDieWhole() throws {
        let values: [Float] = [0, 2, 4, 4, 1, 1, 4, 4, 3, 3, 0, 4, 3, 3, 2, 2]
        let masks = try MaskRanking.decide(
            scores: tensors([("w", values, [4, 4])]), sparsity: 0.5, pattern: .block(rows: 2, columns: 2),
            layouts: ["w": gemm], previous: MaskSet(epoch: 3))
        let (no, yes) = (false, true)
        #expect(bits(masks, "w") == [no, no, yes, yes, no, no, yes, yes, yes, yes, no, no, yes, yes, no, no])
        #expect(masks.epoch == 4)
    }

    @Test func blocksAreMasksOfPlainLoops() throws {
        var random = SeededGenerator(seed: 51)
        for _ in 0..<40 {
            let shape = try Shape([2 + random.index(below: 4), 2 + random.index(below: 5), 1 + random.index(below: 2)])
            let outputAxis = random.index(below: 2)
            let layout = WeightLayout(kind: "k", outputAxis: outputAxis, inputAxis: 1 - outputAxis)
            let (rows, columns) = (1 + random.index(below: 3), 1 + random.index(below: 3))
            let values = (0..<shape.elementCount).map { _ in Float(random.index(below: 9)) }
            let sparsity = Double(random.uniform()) * 0.9
            let masks = try MaskRanking.decide(
                scores: tensors([("w", values, shape)]), sparsity: sparsity,
                pattern: .block(rows: rows, columns: columns),
                layouts: ["w": layout], previous: MaskSet())
            let found = bits(masks, "w")
            // Blocks by their corner, in order of rows, then columns.
            var blocks: [[Int]: [Int]] = [:]
            for element in values.indices {
                let index = [element / (shape[1] * shape[2]), element / shape[2] % shape[1], element % shape[2]]
                let row = index[outputAxis]
                let column = index[1 - outputAxis] * shape[2] + index[2]
                blocks[[row / rows, column / columns], default: []].append(element)
            }
            let ordered = blocks.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
            func mean(_ block: [Int]) -> Double { block.reduce(0) { $0 + Double(values[$1]) } / Double(block.count) }
            var ranked = ordered.indices.sorted { (mean(ordered[$0]), -$0) < (mean(ordered[$1]), -$1) }
            ranked.removeLast()
            var left = Int((sparsity * Double(values.count)).rounded())
            var expected = [Bool](repeating: true, count: values.count)
            for block in ranked {
                guard left > 0, 2 * left >= ordered[block].count else { break }
                left -= ordered[block].count
                for element in ordered[block] { expected[element] = false }
            }
            #expect(found == expected)
        }
    }

    @Test func badPatternsAreRefused() throws {
        let scores = tensors([("w", [1, 2], [1, 2])])
        for pattern in [WeightPattern.nOfM(kept: 4, of: 4), .nOfM(kept: 0, of: 4), .block(rows: 0, columns: 1)] {
            #expect(throws: CompressionError.self) {
                try MaskRanking.decide(
                    scores: scores, sparsity: 0.5, pattern: pattern, layouts: ["w": gemm], previous: MaskSet())
            }
        }
        #expect(throws: CompressionError.unknownLayout(tensor: "w", need: "the pattern 2:4")) {
            try MaskRanking.decide(
                scores: scores, sparsity: 0.5, pattern: .nOfM(kept: 2, of: 4), previous: MaskSet())
        }
    }

    /// Layouts of every kind of reader.
    @Test func layoutsAreThoseOfTheReaders() throws {
        func node(_ type: String, _ inputs: [String], _ output: String, _ attributes: [String: AttributeValue] = [:])
            -> Node
        {
            Node(name: output, operatorType: type, inputs: inputs, outputs: [output], attributes: attributes)
        }
        let graph = Graph(
            name: "layouts",
            nodes: [
                node("Conv", ["x", "conv"], "c"), node("Conv", ["c", "depthwise"], "d", ["group": .int(4)]),
                node("ConvTranspose", ["d", "transpose"], "t"), node("Flatten", ["t"], "f"),
                node("Gemm", ["f", "gemm"], "g"), node("Gemm", ["g", "turned"], "h", ["transB": .int(1)]),
                node("Transpose", ["moved"], "m", ["perm": .ints([1, 0])]), node("MatMul", ["h", "m"], "n"),
                node("Einsum", ["n", "einsum"], "y", ["equation": .string("bi, io -> bo")]),
            ],
            inputs: [ValueInfo(name: "x", elementType: .float32, dimensions: nil)],
            outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)],
            initializers: NamedTensors(
                [
                    ("conv", [4, 3, 3, 3]), ("depthwise", [4, 1, 3, 3]), ("transpose", [4, 2, 2, 2]), ("gemm", [8, 6]),
                    ("turned", [5, 6]), ("moved", [7, 5]), ("einsum", [7, 2]),
                ].map { ($0, Tensor(zeros: try! Shape($1))) }))
        let expected: [(String, WeightLayout)] = [
            ("conv", WeightLayout(kind: "Conv 3x3", outputAxis: 0, inputAxis: 1)),
            ("depthwise", WeightLayout(kind: "Conv 3x3 grouped", outputAxis: 0, inputAxis: 1)),
            ("transpose", WeightLayout(kind: "ConvTranspose 2x2", outputAxis: 1, inputAxis: 0)),
            ("gemm", WeightLayout(kind: "Gemm", outputAxis: 1, inputAxis: 0)),
            ("turned", WeightLayout(kind: "Gemm", outputAxis: 0, inputAxis: 1)),
            // [7, 5] is read as [5, 7]: K is its axis 1.
            ("moved", WeightLayout(kind: "MatMul", outputAxis: 0, inputAxis: 1)),
            ("einsum", WeightLayout(kind: "Einsum", outputAxis: 1, inputAxis: 0)),
        ]
        let found = graph.weightLayouts()
        for (name, layout) in expected { #expect(found[name] == layout) }
        #expect(found.count == expected.count)
    }
}
