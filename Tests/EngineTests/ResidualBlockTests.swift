import ModelGraph
import Tensors
import Testing

@testable import Engine

/// A model without a branch computes what it computes when the branch's last layer gives zero.
@Suite struct ResidualBlockTests {
    @Test(arguments: ["resnet20", "resnet18", "mobilenetv2", "transformer"])
    func removedIsZeroed(name: String) throws {
        let input = name == "transformer" ? [12] : [3, 16, 16]
        let graph = try ModelBuilder.build(
            architecture: name, inputShape: input, classes: 10, width: 16, seed: 3)
        let blocks = try graph.residualBlocks()
        let some = blocks.indices.filter { $0 % 2 == 0 }.map { blocks[$0] }
        var zeroed = graph
        for parameter in some.flatMap({ lastAffine(of: $0, in: graph) }) {
            zeroed.initializers[parameter] = Tensor(zeros: try #require(graph.initializers[parameter]).shape)
        }
        let removed = try graph.removing(blocks: Set(some.map(\.name))).graph
        let batch = try NamedTensors([("x", sample(input, vocabulary: name == "transformer"))])
        let output = try #require(graph.outputs.first?.name)
        let whole = try Executable(graph).run(batch).require(output)
        let expected = try Executable(zeroed).run(batch).require(output)
        let found = try Executable(removed).run(batch).require(output)
        #expect(Parity.relativeError(found, expected) < 1e-5)
        let muted = try Executable(graph.muting(blocks: Set(some.map(\.name)))).run(batch).require(output)
        #expect(Parity.relativeError(muted, expected) < 1e-5)
        // The blocks do something, so the test can fail.
        #expect(Parity.relativeError(whole, expected) > 1e-3)
    }

    /// Scale and shift, or weight and bias, of the last node of a block that has any; the Add of a bias counts as one.
    private func lastAffine(of block: ResidualBlock, in graph: Graph) -> [String] {
        let own = Set(block.parameters)
        let inside = graph.nodes.filter { block.nodes.contains($0.name) }
        var result: [String] = []
        for node in inside.reversed() {
            result += node.inputs.filter(own.contains)
            if !result.isEmpty, node.operatorType != "Add" { break }
        }
        // A normalisation's variance of zero would be a division by epsilon; the mean must go with the shift.
        return result.filter { !graph.statisticNames.contains($0) }
            + result.filter { name in graph.batchStatistics.contains { $0.mean == name } }
    }

    private func sample(_ shape: [Int], vocabulary: Bool) throws -> Tensor {
        let count = 2 * shape.reduce(1, *)
        let full = try Shape([2] + shape)
        if vocabulary { return Tensor((0..<count).map { Int64($0 * 37 % 101) }, shape: full) }
        return Tensor((0..<count).map { Float(($0 * 37) % 101) / 50 - 1 }, shape: full)
    }
}
