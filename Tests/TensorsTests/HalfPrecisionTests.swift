import Testing

@testable import Tensors

@Suite struct HalfPrecisionTests {
    @Test func everyFloat16SurvivesTheRoundTrip() {
        for bits in UInt16.min...UInt16.max {
            let value = HalfPrecision.float(fromFloat16: bits)
            if value.isNaN {
                #expect(HalfPrecision.float(fromFloat16: HalfPrecision.float16(from: value)).isNaN)
            } else {
                #expect(HalfPrecision.float16(from: value) == bits)
            }
        }
    }

    @Test func everyBfloat16SurvivesTheRoundTrip() {
        for bits in UInt16.min...UInt16.max {
            let value = HalfPrecision.float(fromBfloat16: bits)
            if value.isNaN {
                #expect(HalfPrecision.float(fromBfloat16: HalfPrecision.bfloat16(from: value)).isNaN)
            } else {
                #expect(HalfPrecision.bfloat16(from: value) == bits)
            }
        }
    }

    @Test func knownValues() {
        #expect(HalfPrecision.float(fromFloat16: 0x3c00) == 1)
        #expect(HalfPrecision.float(fromFloat16: 0x0001) == 0x1p-24)
        #expect(HalfPrecision.float(fromFloat16: 0xfbff) == -65_504)
        #expect(HalfPrecision.float16(from: 65_520) == 0x7c00)
        #expect(HalfPrecision.float(fromBfloat16: 0x3f80) == 1)
        // Halfway between 1 and its successor goes to the even one, and so does the next halfway.
        #expect(HalfPrecision.bfloat16(from: 1 + 0x1p-8) == 0x3f80)
        #expect(HalfPrecision.bfloat16(from: 1 + 3 * 0x1p-8) == 0x3f82)
        #expect(HalfPrecision.bfloat16(from: .greatestFiniteMagnitude) == 0x7f80)
        #expect(HalfPrecision.float(fromBfloat16: HalfPrecision.bfloat16(from: Float(bitPattern: 0x7f80_0001))).isNaN)
    }

    @Test func tensorsConvert() {
        #expect(
            Tensor(elements: [0x3c00, 0xc000] as [UInt16], elementType: .float16, shape: [2]).convertedToFloat32()
                .floats == [1, -2])
        #expect(
            Tensor(elements: [0x3f80] as [UInt16], elementType: .bfloat16, shape: [1]).convertedToFloat32().floats == [
                1
            ])
        #expect(Tensor(elements: [-3] as [Int8], elementType: .int8, shape: [1]).convertedToFloat32().floats == [-3])
        #expect(Tensor(elements: [true, false], elementType: .bool, shape: [2]).convertedToFloat32().floats == [1, 0])
        #expect(
            Tensor(elements: [-3, 7] as [Int32], elementType: .int32, shape: [2]).convertedToInt64()?.elements() == [
                -3, 7,
            ] as [Int64])
        #expect(Tensor([200] as [UInt8], shape: [1]).convertedToInt64()?.elements() == [200] as [Int64])
        #expect(Tensor([1] as [Float], shape: [1]).convertedToInt64() == nil)
    }
}
