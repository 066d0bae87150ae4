import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Normalizations against means and variances written out.
struct LayerNormalizationTests {
    /// Values less their mean, over their standard deviation, for groups of elements; then scaled and shifted.
    private func normalized(
        _ x: Tensor, group: ([Int]) -> [Int], _ parameters: ([Int]) -> (scale: Double, bias: Double)
    ) -> Tensor {
        let all = places(x.shape.dimensions)
        var members: [[Int]: [Double]] = [:]
        for place in all { members[group(place), default: []].append(x.element(place)) }
        let values: [Double] = all.map { place in
            let others = members[group(place)] ?? []
            let mean = sum(others) { $0 } / Double(others.count)
            let variance = sum(others) { ($0 - mean) * ($0 - mean) } / Double(others.count)
            let (scale, bias) = parameters(place)
            return (x.element(place) - mean) / (variance + 0.01).squareRoot() * scale + bias
        }
        return Tensor(values, x.shape.dimensions)
    }

    private let epsilon: [String: AttributeValue] = ["epsilon": .float(0.01)]

    @Test(arguments: [-3, -1, 0, 1]) func layerNormalizationAtEveryAxis(axis: Int64) throws {
        var generator = SeededGenerator(seed: 6)
        let extents = [2, 3, 4]
        let first = axis < 0 ? Int(axis) + 3 : Int(axis)
        let x = Tensor.random(extents, &generator)
        let scale = Tensor.random(Array(extents[first...]), &generator)
        let bias = Tensor.random([4], &generator)
        let attributes = epsilon.merging(["axis": .int(axis)]) { $1 }
        let expected = normalized(
            x, group: { Array($0[..<first]) },
            { (scale: scale.element(Array($0[first...])), bias: bias.element([$0[2]])) })
        var application = Application(type: "LayerNormalization", attributes: attributes)
        #expect(try application.run(x, scale, bias)[0].distance(expected) < 1e-7)
        #expect(try application.gradientError(x, scale, bias) < 1e-6)
        application.outputs = 3
        let found = try application.run(x, scale, bias)
        #expect(found[0].distance(expected) < 1e-7)
        #expect(found[1].shape.dimensions == extents[..<first] + Array(repeating: 1, count: 3 - first))
        let count = scale.elementCount
        let mean = sum(x.doubles.prefix(count)) { $0 } / Double(count)
        #expect(abs(Double(found[1].floats[0]) - mean) < 1e-6)
        #expect(found[2].floats.allSatisfy { $0 > 0 && $0 < 10 })
    }

    @Test(arguments: [18, 21] as [Int64]) func groupNormalizationScalesGroupsAndLaterChannels(opset: Int64) throws {
        var generator = SeededGenerator(seed: 7)
        let x = Tensor.random([2, 4, 3], &generator)
        let count = opset == 18 ? 2 : 4
        let (scale, bias) = (Tensor.random([count], &generator), Tensor.random([count], &generator))
        let application = Application(
            type: "GroupNormalization", attributes: epsilon.merging(["num_groups": .int(2)]) { $1 }, opset: opset)
        let index = { (channel: Int) in opset == 18 ? channel / 2 : channel }
        let expected = normalized(
            x, group: { [$0[0], $0[1] / 2] },
            { (scale: scale.doubles[index($0[1])], bias: bias.doubles[index($0[1])]) })
        #expect(try application.run(x, scale, bias)[0].distance(expected) < 1e-7)
        #expect(try application.gradientError(x, scale, bias) < 1e-6)
        let other = Tensor.random([6 - count], &generator)
        #expect(performing: { try application.run(x, other, other) }, throws: says("GroupNormalization", "scale of"))
    }

    @Test func instanceNormalizationNormalizesEachChannel() throws {
        var generator = SeededGenerator(seed: 8)
        let x = Tensor.random([2, 3, 2, 2], &generator)
        let (scale, bias) = (Tensor.random([3], &generator), Tensor.random([3], &generator))
        let application = Application(type: "InstanceNormalization", attributes: epsilon)
        let expected = normalized(
            x, group: { [$0[0], $0[1]] }, { (scale: scale.doubles[$0[1]], bias: bias.doubles[$0[1]]) })
        #expect(try application.run(x, scale, bias)[0].distance(expected) < 1e-7)
        #expect(try application.gradientError(x, scale, bias) < 1e-6)
    }

    @Test func rootMeanSquareNormalization() throws {
        let x = Tensor([3.0, 4, 6, 8], [2, 2])
        let application = Application(
            type: "RMSNormalization", attributes: ["epsilon": .float(0)], opset: 23)
        let root = 12.5.squareRoot()
        let expected = Tensor([3 / root, 8 / root, 3 / root, 8 / root], [2, 2])
        #expect(try application.run(x, Tensor([1.0, 2], [2]))[0].distance(expected) < 1e-12)
        #expect(try application.gradientError(x, Tensor([1.0, 2], [2])) < 1e-6)
    }

    @Test(arguments: [[5], [5, 2], [2, 2, 3], [2, 2, 1, 3], [1, 2, 2, 2, 2]])
    func batchNormalizationOfEveryRank(extents: [Int]) throws {
        var generator = SeededGenerator(seed: 9)
        let channels = extents.count > 1 ? extents[1] : 1
        let x = Tensor.random(extents, &generator)
        let (scale, bias) = (Tensor.random([channels], &generator), Tensor.random([channels], &generator))
        let (mean, variance) = (
            Tensor.random([channels], &generator), Tensor(Array(repeating: 0.5, count: channels), [channels])
        )
        let application = Application(type: "BatchNormalization", attributes: epsilon)
        let expected: [Double] = places(extents).map { place in
            let channel = extents.count > 1 ? place[1] : 0
            let centered = (x.element(place) - mean.doubles[channel]) / 0.51.squareRoot()
            return centered * scale.doubles[channel] + bias.doubles[channel]
        }
        #expect(try application.run(x, scale, bias, mean, variance)[0].distance(Tensor(expected, extents)) < 1e-7)
        #expect(try application.gradientError(x, scale, bias, mean, variance, except: [3, 4]) < 1e-6)
    }

    /// Statistics that are outputs are those of ONNX's training mode: of the batch, and of the population variance.
    @Test func batchNormalizationWithStatisticsAsOutputs() throws {
        var application = Application(
            type: "BatchNormalization",
            attributes: ["epsilon": .float(0), "momentum": .float(0.75), "training_mode": .int(1)], outputs: 3)
        let one = Tensor([1.0], [1])
        let inputs = (Tensor([1.0, 3], [2, 1]), Tensor([2.0], [1]), Tensor([10.0], [1]))
        let found = try application.run(inputs.0, inputs.1, inputs.2, one, one)
        #expect(found == [Tensor([8.0, 12], [2, 1]), Tensor([0.75 + 0.25 * 2], [1]), Tensor([0.75 + 0.25], [1])])
        #expect(
            try application.gradientError(Tensor([1.0, 3, 7, 2], [4, 1]), one, one, one, one, except: [3, 4]) < 1e-6)
        application.attributes["training_mode"] = nil
        #expect(
            performing: { try application.run(inputs.0, inputs.1, inputs.2, one, one) },
            throws: says("BatchNormalization", "training_mode"))
    }

    @Test func otherPrecisionsOfTheFirstStageAreRefused() {
        for type in ["LayerNormalization", "GroupNormalization"] {
            let application = Application(
                type: type, attributes: ["stash_type": .int(16), "num_groups": .int(1)])
            #expect(
                performing: { try application.run(Tensor([1.0, 2], [1, 2]), Tensor([1.0, 2], [2])) },
                throws: says(type, "stash_type"))
        }
    }
}
