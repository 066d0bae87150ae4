import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Resizing against the standard's formulas, place by place.
struct LayerResizeTests {
    private func floats(_ values: [Float]) -> Tensor { Tensor(values, shape: try! Shape([values.count])) }
    private func integers(_ values: [Int64]) -> Tensor { Tensor(values, shape: try! Shape([values.count])) }

    /// The input coordinate of an output place.
    private func coordinate(_ mode: String, _ place: Int, _ input: Int, _ output: Int, _ scale: Double) -> Double {
        let y = Double(place)
        switch mode {
        case "asymmetric": return y / scale
        case "align_corners": return output == 1 ? 0 : y * Double(input - 1) / Double(output - 1)
        case "pytorch_half_pixel": return output == 1 ? -0.5 : (y + 0.5) / scale - 0.5
        default: return (y + 0.5) / scale - 0.5
        }
    }

    /// One axis: the sum over all input places, continued beyond both ends by the last ones, of a kernel's weights.
    private func resized(_ x: [Double], to output: Int, _ mode: String, kernel: (Double) -> Double) -> [Double] {
        let scale = Double(output) / Double(x.count)
        return (0..<output).map { place in
            let center = coordinate(mode, place, x.count, output, scale)
            return sum(-8..<x.count + 8) { x[min(max($0, 0), x.count - 1)] * kernel(center - Double($0)) }
        }
    }

    private func linear(_ distance: Double) -> Double { max(0, 1 - abs(distance)) }

    private func cubic(_ distance: Double) -> Double {
        let (x, a) = (abs(distance), -0.5)
        let (square, cube) = (x * x, x * x * x)
        if x <= 1 { return (a + 2) * cube - (a + 3) * square + 1 }
        return x < 2 ? a * (cube - 5 * square + 8 * x - 4) : 0
    }

    @Test(
        arguments: ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"],
        ["linear", "cubic"])
    func axisByAxis(coordinates: String, mode: String) throws {
        var generator = SeededGenerator(seed: 13)
        let x = Tensor.random([1, 2, 4, 3], &generator)
        let application = Application(
            type: "Resize",
            attributes: [
                "mode": .string(mode), "coordinate_transformation_mode": .string(coordinates),
                "cubic_coeff_a": .float(-0.5),
            ])
        let kernel = mode == "linear" ? linear : cubic
        // Up, down, to one, and by a factor that is no whole number.
        for (height, width) in [(8, 6), (2, 7), (1, 3), (5, 1)] {
            let found = try application.run(x, nil, nil, integers([1, 2, Int64(height), Int64(width)]))[0]
            var expected: [Double] = []
            for channel in 0..<2 {
                let columns: [[Double]] = (0..<3).map { column in
                    let values: [Double] = (0..<4).map { x.element([0, channel, $0, column]) }
                    return resized(values, to: height, coordinates, kernel: kernel)
                }
                for row in 0..<height {
                    let values: [Double] = columns.map { $0[row] }
                    expected += resized(values, to: width, coordinates, kernel: kernel)
                }
            }
            #expect(found.distance(Tensor(expected, [1, 2, height, width])) < 1e-6)
            #expect(try application.gradientError(x, nil, nil, integers([1, 2, Int64(height), Int64(width)])) < 1e-6)
        }
    }

    @Test(
        arguments: [
            ("round_prefer_floor", [0, 0, 1, 1, 2]), ("round_prefer_ceil", [0, 1, 1, 2, 2]),
            ("floor", [0, 0, 1, 1, 2]),
            ("ceil", [0, 1, 1, 2, 2]),
        ] as [(String, [Double])])
    func nearestPlaces(mode: String, expected: [Double]) throws {
        // Coordinates 0, 0.5, 1, 1.5 and 2.
        let application = Application(
            type: "Resize",
            attributes: [
                "nearest_mode": .string(mode), "coordinate_transformation_mode": .string("align_corners"),
                "axes": .ints([-1]),
            ])
        #expect(try application.run(Tensor([0.0, 1, 2], [3]), nil, nil, integers([5]))[0].doubles == expected)
        #expect(try application.gradientError(Tensor([0.0, 1, 2], [3]), nil, nil, integers([5])) < 1e-6)
    }

    @Test func scalesRoundExtentsDownAndMoveCoordinates() throws {
        let application = Application(
            type: "Resize",
            attributes: [
                "coordinate_transformation_mode": .string("asymmetric"), "nearest_mode": .string("floor"),
                "axes": .ints([0]),
            ])
        let ten = Tensor((0..<10).map(Double.init), [10])
        // 0.7 is less than seven tenths in float32; 0.7 · 10 is 7 there all the same.
        #expect(try application.run(ten, nil, floats([0.7]))[0].shape == [7])
        #expect(try application.run(ten, nil, floats([0.25]))[0].doubles == [0, 4])
    }

    @Test(arguments: [("not_larger", [4, 6]), ("not_smaller", [6, 9])] as [(String, [Int])])
    func aspectRatiosAreKept(policy: String, extents: [Int]) throws {
        let application = Application(
            type: "Resize", attributes: ["keep_aspect_ratio_policy": .string(policy), "axes": .ints([1, 2])])
        let found = try application.run(Tensor(Array(repeating: 1, count: 6), [1, 2, 3]), nil, nil, integers([6, 6]))[0]
        #expect(found.shape.dimensions == [1] + extents)
    }

    @Test func aRegionIsCutAndWhatLiesOutsideIsFilled() throws {
        let application = Application(
            type: "Resize",
            attributes: [
                "mode": .string("linear"), "coordinate_transformation_mode": .string("tf_crop_and_resize"),
                "extrapolation_value": .float(-7), "axes": .ints([0]),
            ])
        // From 0.25 to 1.25 of an axis of five: coordinates 1, 2, 3, 4 and 5.
        let found = try application.run(
            Tensor([0.0, 10, 20, 30, 40], [5]), floats([0.25, 1.25]), nil, integers([5]))[0]
        #expect(found.doubles == [10, 20, 30, 40, -7])
    }

    @Test func antialiasingAveragesWhatFallsTogether() throws {
        let application = Application(
            type: "Resize", attributes: ["mode": .string("linear"), "antialias": .int(1), "axes": .ints([0])])
        // Half size: weights 1, 3, 3, 1 of 8 around each center, the edges repeated.
        let x = Tensor([8.0, 0, 0, 16], [4])
        #expect(try application.run(x, nil, floats([0.5]))[0].distance(Tensor([4.0, 8], [2])) < 1e-12)
        #expect(try application.gradientError(x, nil, floats([0.25])) < 1e-6)
        // A scale so small that nothing is left has no kernel.
        #expect(try application.run(x, nil, floats([1e-30]))[0].shape == [0])
        #expect(
            performing: {
                try application.run(Tensor([Double](repeating: 0, count: 1 << 20), [1 << 20]), nil, nil, integers([1]))
            },
            throws: says("a kernel this wide"))
    }

    @Test func weightsOutsideCanBeLeftOut() throws {
        let application = Application(
            type: "Resize",
            attributes: ["mode": .string("cubic"), "exclude_outside": .int(1), "axes": .ints([0])])
        let found = try application.run(Tensor([1.0, 1, 1, 1], [4]), nil, floats([2]))[0]
        #expect(found.distance(Tensor(Array(repeating: 1, count: 8), [8])) < 1e-12)
    }

    @Test func codesAreRoundedHalfToEvenAndSaturate() throws {
        let bytes = Tensor([0, 255, 254] as [UInt8], shape: [3])
        var application = Application(
            type: "Resize", attributes: ["mode": .string("cubic"), "axes": .ints([0])])
        let found = try application.run(bytes, nil, floats([2]))[0]
        #expect(found.bytes.count == 6 && found.bytes.contains(255))
        application.attributes["mode"] = .string("linear")
        application.attributes["coordinate_transformation_mode"] = .string("asymmetric")
        #expect(try application.run(bytes, nil, floats([2]))[0].bytes == [0, 128, 255, 254, 254, 254])
        application.attributes["mode"] = .string("nearest")
        #expect(try application.run(bytes, nil, floats([2]))[0].bytes == [0, 0, 255, 255, 254, 254])
    }

    @Test func whatMeansNothingIsRefused() throws {
        let x = Tensor([1.0, 2], [2])
        let cases: [([String: AttributeValue], Tensor?, Tensor?, String)] = [
            (["mode": .string("area")], floats([2]), nil, "mode 'area'"),
            (["nearest_mode": .string("up")], floats([2]), nil, "nearest_mode 'up'"),
            (
                ["coordinate_transformation_mode": .string("tf")], floats([2]), nil,
                "coordinate_transformation_mode 'tf'"
            ),
            (["antialias": .int(1)], floats([2]), nil, "antialias"), ([:], nil, nil, "scales and sizes"),
            ([:], floats([2]), integers([4]), "scales and sizes"), ([:], floats([2, 2]), nil, "scales and sizes"),
            ([:], floats([-1]), nil, "a scale of -1"), ([:], floats([.nan]), nil, "a scale of nan"),
            ([:], floats([1e30]), nil, "a scale of"), ([:], nil, integers([-4]), "sizes below 0"),
            ([:], nil, integers([1 << 40]), "sizes below 0 or above"),
            (["axes": .ints([3])], floats([2]), nil, "axis 3"),
            (["axes": .ints([0, 0])], floats([2, 2]), nil, "twice"),
            (["coordinate_transformation_mode": .string("tf_crop_and_resize")], floats([2]), nil, "roi"),
        ]
        for (attributes, scales, sizes, reason) in cases {
            #expect(
                performing: { try Application(type: "Resize", attributes: attributes).run(x, nil, scales, sizes) },
                throws: says("'Resize' (node 'node')", reason))
        }
    }
}
