import Foundation
import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Corners of the operators that the ONNX node tests (make conformance) leave out.
struct OperatorCornerTests {
    private func int32s(_ values: [Int32]) throws -> Tensor {
        Tensor(elements: values, elementType: .int32, shape: try Shape([values.count]))
    }

    @Test func theSmallestIntegerDividedByMinusOneDoesNotTrap() throws {
        for (least, minus) in [
            (try integers([.min, 7]), try integers([-1, -2])),
            (try int32s([.min, 7]), try int32s([-1, -2])),
        ] {
            _ = try apply("Div", [least, minus])
            _ = try apply("Mod", [least, minus])
            _ = try apply("Mod", [least, minus], attributes: ["fmod": .int(1)])
        }
        let quotient = try apply("Div", [integers([.min, 7, -7, 9]), integers([-1, -2, 2, -1])])[0]
        #expect(quotient.elements(as: Int64.self) == [.min, -3, -3, -9])
        #expect(throws: EngineError.self) { try apply("Div", [integers([1]), integers([0])]) }
    }

    @Test func modFollowsTheSignOfTheDivisorOrOfTheDividend() throws {
        let (a, b) = (try integers([-4, 7, 5, 4]), try integers([2, -3, 8, -7]))
        #expect(try apply("Mod", [a, b])[0].elements(as: Int64.self) == [0, -2, 5, -3])
        let remainders = try apply("Mod", [a, b], attributes: ["fmod": .int(1)])[0]
        #expect(remainders.elements(as: Int64.self) == [0, 1, 5, 4])
        #expect { try apply("Mod", [reals([1]), reals([2])]) } throws: {
            "\($0)".contains("fmod")
        }
    }

    @Test func clipKeepsNaNAndLetsTheUpperBoundWin() throws {
        let low = Tensor([3] as [Float], shape: [])
        let high = Tensor([1] as [Float], shape: [])
        let clipped = try apply("Clip", [reals([.nan, 0, 9]), low, high])[0].floats
        #expect(clipped[0].isNaN && clipped[1] == 1 && clipped[2] == 1)
        #expect(try apply("Clip", [reals([-5, 9]), nil, high])[0].floats == [-5, 1])
        #expect { try apply("Clip", [integers([1]), low]) } throws: { "\($0)".contains("bound") }
    }

    @Test func operandsOfDifferentTypesAreRefused() throws {
        #expect { try apply("Add", [reals([1]), integers([1])]) } throws: {
            "\($0)".contains("types")
        }
    }

    @Test func halvesAreComputedInFloat32AndRoundedOnce() throws {
        let values: [Float] = [0.1, 0.7, 1.3, 2.5]
        let halves = Tensor(
            elements: values.map { HalfPrecision.float16(from: $0) }, elementType: .float16, shape: [4])
        for type in ["Erf", "Exp", "Tanh", "Sqrt", "Log", "Sigmoid", "Softplus", "Round", "Mish"] {
            let result = try apply(type, [halves])[0]
            #expect(result.elementType == .float16)
            let exact = try apply(type, [apply("Cast", [halves], attributes: ["to": .int(1)])[0]])[0]
            #expect(try result == apply("Cast", [exact], attributes: ["to": .int(10)])[0], "\(type)")
        }
        #expect(try apply("ReduceSum", [halves], attributes: ["keepdims": .int(0)])[0].elementType == .float16)
    }

    @Test func slicesWalkBackwardsAndClamp() throws {
        func slice(_ start: Int64, _ end: Int64, _ step: Int64) throws -> [Float] {
            try apply(
                "Slice", [reals([0, 1, 2, 3, 4]), integers([start]), integers([end]), integers([0]), integers([step])])[
                    0
                ]
                .floats
        }
        #expect(try slice(-1, .min, -2) == [4, 2, 0])
        #expect(try slice(1, .max, 2) == [1, 3])
        #expect(try slice(-100, 3, 1) == [0, 1, 2])
        #expect(try slice(3, 3, 1) == [])
        #expect(try slice(100, 0, -1) == [4, 3, 2, 1])
        #expect(try slice(4, -1, -1) == [])
        #expect(throws: EngineError.self) { try slice(0, 5, 0) }
        #expect(throws: EngineError.self) { try slice(0, 5, .min) }
    }

    @Test func splitRefusesPartsThatDoNotAddUp() throws {
        let x = try reals([0, 1, 2, 3, 4])
        #expect(
            try apply("Split", [x], attributes: ["num_outputs": .int(2)], outputs: 2).map(\.floats) == [
                [0, 1, 2], [3, 4],
            ])
        #expect(throws: EngineError.self) { try apply("Split", [x], outputs: 2) }
        #expect(throws: EngineError.self) { try apply("Split", [x, integers([4, 4])], outputs: 2) }
        #expect(throws: EngineError.self) { try apply("Split", [x, integers([-1, 6])], outputs: 2) }
    }

    @Test func equalValuesKeepTheirOrder() throws {
        let x = try reals([2, 5, 5, 1, 5])
        let top = try apply("TopK", [x, integers([3])], outputs: 2)
        #expect(top[0].floats == [5, 5, 5])
        #expect(top[1].elements(as: Int64.self) == [1, 2, 4])
        #expect(try apply("ArgMax", [x])[0].elements(as: Int64.self) == [1])
        let last = try apply("ArgMax", [x], attributes: ["select_last_index": .int(1)])[0]
        #expect(last.elements(as: Int64.self) == [4])
        #expect(throws: EngineError.self) { try apply("TopK", [x, integers([6])], outputs: 2) }
    }

    @Test func aFewNumbersCannotAskForAllMemory() throws {
        let huge = try integers([1 << 31, 1 << 31, 1 << 31])
        #expect(throws: EngineError.self) { try apply("ConstantOfShape", [huge]) }
        #expect(throws: EngineError.self) { try apply("ConstantOfShape", [integers([-1])]) }
        #expect(throws: EngineError.self) { try apply("Expand", [reals([1]), huge]) }
        #expect(throws: EngineError.self) { try apply("Tile", [reals([1]), integers([1 << 40])]) }
        let ends = [0, 1e18, 1].map { Tensor([Float($0)], shape: []) }
        #expect(throws: EngineError.self) { try apply("Range", ends) }
        let stuck = [0, 1, 0].map { Tensor([Float($0)], shape: []) }
        #expect(throws: EngineError.self) { try apply("Range", stuck) }
        let depth = Tensor([Float(1e12)], shape: [])
        #expect(throws: EngineError.self) {
            try apply("OneHot", [integers([0]), depth, reals([0, 1])])
        }
    }

    @Test func indicesOutOfRangeAreErrors() throws {
        let x = try reals([1, 2, 3])
        for bad in [3, -4] as [Int64] {
            for type in ["Gather", "GatherElements"] {
                #expect(throws: EngineError.self) { try apply(type, [x, integers([bad])]) }
            }
            let tuple = Tensor([bad], shape: [1, 1])
            #expect(throws: EngineError.self) { try apply("GatherND", [x, tuple]) }
            #expect(throws: EngineError.self) { try apply("ScatterND", [x, tuple, reals([9])]) }
            #expect(throws: EngineError.self) {
                try apply("ScatterElements", [x, integers([bad]), reals([9])])
            }
        }
    }

    @Test func reducingNothingGivesTheNeutralElement() throws {
        let empty = Tensor(zeros: [2, 0])
        for (type, neutral) in [
            ("ReduceSum", 0), ("ReduceProd", 1), ("ReduceMax", -Float.infinity), ("ReduceMin", .infinity),
        ] {
            #expect(try apply(type, [empty, integers([1])])[0] == Tensor([neutral, neutral], shape: [2, 1]))
        }
    }
}
