import Foundation
import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Products, padding, blocks, softmax and dropout.
struct LayerMatrixTests {
    @Test(arguments: [[], [1], [3], [1, 3], [2, 1], [2, 3]]) func gemmAddsWhateverBroadcasts(extents: [Int]) throws {
        var generator = SeededGenerator(seed: 16)
        let (a, b) = (Tensor.random([4, 2], &generator), Tensor.random([3, 4], &generator))
        let c = Tensor.random(extents, &generator)
        let application = Application(
            type: "Gemm",
            attributes: ["alpha": .float(0.5), "beta": .float(2), "transA": .int(1), "transB": .int(1)])
        let expected: [Double] = places([2, 3]).map { place in
            let axes = extents.indices.map { extents[$0] == 1 ? 0 : place[$0 + 2 - extents.count] }
            let product = sum(0..<4) { a.element([$0, place[0]]) * b.element([place[1], $0]) }
            return 2 * c.element(axes) + 0.5 * product
        }
        #expect(try application.run(a, b, c)[0].distance(Tensor(expected, [2, 3])) < 1e-12)
        #expect(try application.gradientError(a, b, c) < 1e-6)
    }

    @Test func gemmOfIntegers() throws {
        let (a, b) = (Tensor([1, 2] as [Int64], shape: [1, 2]), Tensor([3, 4] as [Int64], shape: [2, 1]))
        let one = Tensor([1] as [Int64], shape: [])
        let integers = { (tensors: [Tensor]) in tensors[0].elements(as: Int64.self) }
        #expect(try integers(Application(type: "Gemm").run(a, b, one)) == [12])
        #expect(try integers(Application(type: "Gemm", attributes: ["alpha": .float(0.5)]).run(a, b)) == [5])
        #expect(try integers(Application(type: "MatMul").run(a, b)) == [11])
    }

    @Test func matrixProductsBroadcastBatchesAndVectors() throws {
        var generator = SeededGenerator(seed: 17)
        let (a, b) = (Tensor.random([2, 1, 3, 4], &generator), Tensor.random([5, 4, 2], &generator))
        let found = try Application(type: "MatMul").run(a, b)[0]
        let expected: [Double] = places([2, 5, 3, 2]).map { place in
            sum(0..<4) { a.element([place[0], 0, place[2], $0]) * b.element([place[1], $0, place[3]]) }
        }
        #expect(found.distance(Tensor(expected, [2, 5, 3, 2])) < 1e-12)
        #expect(try Application(type: "MatMul").gradientError(a, b) < 1e-6)
        let half = Tensor(elements: [1, 2] as [Float16], elementType: .float16, shape: [2])
        #expect(try Application(type: "MatMul").run(half, half)[0].elements(as: Float16.self) == [5])
    }

    @Test func einsteinSums() throws {
        var generator = SeededGenerator(seed: 18)
        let (a, b) = (Tensor.random([2, 3, 4], &generator), Tensor.random([2, 4, 5], &generator))
        let product = Application(type: "Einsum", attributes: ["equation": .string("...ij, ...jk -> ...ki")])
        let expected: [Double] = places([2, 5, 3]).map { place in
            sum(0..<4) { a.element([place[0], place[2], $0]) * b.element([place[0], $0, place[1]]) }
        }
        #expect(try product.run(a, b)[0].distance(Tensor(expected, [2, 5, 3])) < 1e-12)
        #expect(try product.gradientError(a, b) < 1e-6)
        let trace = Application(type: "Einsum", attributes: ["equation": .string("ii")])
        #expect(try trace.run(Tensor([1.0, 2, 3, 4], [2, 2]))[0] == Tensor([5.0], []))
        for equation in ["i1->i", "ij", "i,j", "i->j->k", "i>j", "....i", "", "i..->i", "ij->ijq"] {
            let application = Application(type: "Einsum", attributes: ["equation": .string(equation)])
            #expect(performing: { try application.run(Tensor([1.0], [1])) }, throws: says("'Einsum' (node 'node')"))
        }
    }

    @Test(
        arguments: [
            ("constant", [9, 9, 1, 2, 3, 9]), ("reflect", [3, 2, 1, 2, 3, 2]), ("edge", [1, 1, 1, 2, 3, 3]),
            ("wrap", [2, 3, 1, 2, 3, 1]),
        ] as [(String, [Double])])
    func padsOfEveryMode(mode: String, expected: [Double]) throws {
        let application = Application(type: "Pad", attributes: ["mode": .string(mode)])
        let (pads, axes) = (Tensor([2, 1] as [Int64], shape: [2]), Tensor([-1] as [Int64], shape: [1]))
        let (x, value) = (Tensor([1.0, 2, 3], [1, 3]), Tensor([9.0], []))
        #expect(try application.run(x, pads, value, axes)[0] == Tensor(expected, [1, 6]))
        #expect(try application.gradientError(x, pads, value, axes, except: [2]) < 1e-6)
        let cut = Tensor([0, -1, 0, -1] as [Int64], shape: [4])
        #expect(try application.run(x, cut)[0] == Tensor([2.0], [1, 1]))
        let flags = Tensor(elements: [true, false], elementType: .bool, shape: [1, 2])
        let padded = try application.run(flags, pads, nil, axes)[0].elements(as: Bool.self)
        #expect(padded.count == 5 && padded[2] && !padded[3])
    }

    @Test func padsThatMeanNothingAreRefused() {
        let x = Tensor([1.0, 2, 3], [1, 3])
        let cases: [(String, [Int64], [Int64]?, String)] = [
            ("mirror", [0, 0, 0, 0], nil, "mode 'mirror'"), ("constant", [1, 1], nil, "2 pads for 2 axes"),
            ("constant", [0, -9, 0, 0], nil, "cut more"), ("edge", [0, -9, 0, 0], nil, "cut more"),
            ("constant", [.max, 1], [0], "pads above"), ("constant", [.min, 1], [0], "pads above"),
            ("constant", [1, 1, 1, 1], [0, 0], "twice"), ("constant", [1, 1], [2], "axis 2"),
        ]
        for (mode, pads, axes, reason) in cases {
            let application = Application(type: "Pad", attributes: ["mode": .string(mode)])
            let vector = { (values: [Int64]) in Tensor(values, shape: try! Shape([values.count])) }
            #expect(
                performing: { try application.run(x, vector(pads), nil, axes.map(vector)) },
                throws: says("'Pad' (node 'node')", reason))
        }
    }

    @Test(arguments: [("DCR", [0, 6, 1, 7, 12, 18, 13, 19]), ("CRD", [0, 6, 1, 7, 12, 18, 13, 19])])
    func blocksBetweenChannelsAndSpace(mode: String, start: [Double]) throws {
        let x = Tensor((0..<24).map(Double.init), [1, 4, 2, 3])
        let attributes: [String: AttributeValue] = ["blocksize": .int(2), "mode": .string(mode)]
        let deep = try Application(type: "DepthToSpace", attributes: attributes).run(x)[0]
        // With one output channel both orders are the same: rows interleave channels 0 and 1, then 2 and 3.
        #expect(deep.shape == [1, 1, 4, 6])
        #expect(Array(deep.doubles.prefix(4)) == Array(start.prefix(4)))
        #expect(Array(deep.doubles[6..<10]) == Array(start.suffix(4)))
        for channels in [4, 8] {
            let y = Tensor((0..<channels * 6).map(Double.init), [1, channels, 2, 3])
            let there = try Application(type: "DepthToSpace", attributes: attributes).run(y)[0]
            #expect(try Application(type: "SpaceToDepth", attributes: attributes).run(there)[0] == y)
        }
        for (type, size) in [("DepthToSpace", 5), ("SpaceToDepth", 5), ("DepthToSpace", 0), ("DepthToSpace", 1 << 31)] {
            let application = Application(type: type, attributes: ["blocksize": .int(Int64(size))])
            #expect(performing: { try application.run(x) }, throws: says("'\(type)' (node 'node')"))
        }
    }

    @Test func softmaxAndItsLogarithm() throws {
        var generator = SeededGenerator(seed: 19)
        let x = Tensor.random([2, 3, 2], &generator)
        for axis in [-2, 1] as [Int64] {
            let soft = Application(type: "Softmax", attributes: ["axis": .int(axis)])
            let log = Application(type: "LogSoftmax", attributes: ["axis": .int(axis)])
            let (shares, logarithms) = (try soft.run(x)[0], try log.run(x)[0])
            let total = sum(0..<3) { exp(x.element([1, $0, 0])) }
            #expect(abs(shares.element([1, 2, 0]) - exp(x.element([1, 2, 0])) / total) < 1e-12)
            #expect(logarithms.distance(Tensor(shares.doubles.map { Foundation.log($0) }, [2, 3, 2])) < 1e-12)
            #expect(try max(soft.gradientError(x), log.gradientError(x)) < 1e-6)
        }
        let bad = Application(type: "LogSoftmax", attributes: ["axis": .int(3)])
        #expect(performing: { try bad.run(x) }, throws: says("'LogSoftmax'", "axis 3"))
    }

    @Test func evaluationDropsNothing() throws {
        let x = Tensor([1.0, 2], [2])
        let on = Tensor(elements: [true], elementType: .bool, shape: [])
        let found = try Application(type: "Dropout", outputs: 2).run(x, Tensor([0.9 as Float], shape: []), on)
        #expect(found[0] == x)
        #expect(found[1].elements(as: Bool.self) == [true, true])
    }

    /// In training the mask is what was kept, and what is kept is scaled so that the mean stays.
    @Test func trainingDropsByTheRatioGiven() throws {
        let x = Tensor(Array(repeating: 1, count: 10_000), [10_000])
        let application = Application(type: "Dropout", outputs: 2)
        let ratio = Tensor([0.25], [])
        let graph = application.graph([x, ratio])
        let perform = try Operators.compile(graph.nodes[0], graph: graph)
        EngineRuntime.seed(3)
        var frame = Frame(training: true, updatesStatistics: true)
        let found = try perform(&frame, [TorchTensor(x), TorchTensor(ratio)])
        let (values, mask) = try (
            #require(found[0]).tensor().doubles, #require(found[1]).tensor().elements(as: Bool.self)
        )
        #expect(zip(values, mask).allSatisfy { $0 == ($1 ? 1 / 0.75 : 0) })
        #expect(abs(Double(mask.count { $0 }) / 10_000 - 0.75) < 0.03)
        #expect(
            performing: { try perform(&frame, [TorchTensor(x), TorchTensor(Tensor([1.5], []))]) },
            throws: says("Dropout", "ratio of 1.5"))
    }
}
