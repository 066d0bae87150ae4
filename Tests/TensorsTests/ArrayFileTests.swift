import Foundation
import Testing

@testable import Tensors

/// Arrays read from their files row by row, and files of token ids.
@Suite struct ArrayFileTests {
    private static func tensor(_ type: ElementType) -> Tensor {
        var tensor = Tensor(zeros: [4, 3], elementType: type)
        tensor.withMutableBytes { bytes in
            for index in bytes.indices { bytes[index] = type == .bool ? UInt8(index % 2) : UInt8(index) }
        }
        return tensor
    }

    private func rows(_ file: ArrayFile, _ range: Range<Int>) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count * file.rowByteCount)
        try bytes.withUnsafeMutableBytes { try file.read(rows: range, into: $0) }
        return bytes
    }

    @Test(arguments: ElementType.allCases) func rowsAreThoseOfTheTensor(_ type: ElementType) throws {
        try withTemporaryFolder { folder in
            let tensor = Self.tensor(type)
            let path = "\(folder)/a"
            try Safetensors.write(NamedTensors([("b", Tensor([1] as [UInt8], shape: [1])), ("a", tensor)]), path: path)
            let all = try ArrayFile.safetensors(path: path)
            #expect(all.map { $0.name } == ["b", "a"])
            var files = [all[1]]
            if type != .bfloat16 {
                try Npy.write(tensor, path: "\(folder)/a.npy")
                files.append(try ArrayFile.npy(path: "\(folder)/a.npy"))
            }
            for file in files {
                #expect(file.elementType == type && file.shape == [4, 3] && file.rowByteCount == 3 * type.byteCount)
                #expect(try rows(file, 1..<3) == Array(tensor.bytes[file.rowByteCount..<3 * file.rowByteCount]))
                #expect(try file.tensor() == tensor)
            }
        }
    }

    @Test func truncatedFilesAreRefusedWhenOpened() throws {
        try withTemporaryFolder { folder in
            let path = "\(folder)/a"
            let npy = try Npy.serialize(Self.tensor(.float32))
            for count in stride(from: 0, to: npy.count, by: 7) {
                try FileBytes.write(Array(npy[..<count]), path: path)
                #expect(throws: TensorError.self) { try ArrayFile.npy(path: path) }
            }
            let safetensors = Safetensors.serialize(NamedTensors([("a", Self.tensor(.float32))]))
            for count in stride(from: 0, to: safetensors.count, by: 5) {
                try FileBytes.write(Array(safetensors[..<count]), path: path)
                #expect(throws: TensorError.self) { try ArrayFile.safetensors(path: path) }
            }
            try FileBytes.write([UInt8](repeating: 0xff, count: 64), path: path)
            #expect(throws: TensorError.self) { try ArrayFile.safetensors(path: path) }
            #expect(throws: TensorError.self) { try ArrayFile.npy(path: folder) }
        }
    }

    @Test func tokensOfEveryWidth() throws {
        try withTemporaryFolder { folder in
            let path = "\(folder)/t"
            func check(_ bytes: [UInt8], _ format: TokenArray.Format, _ expected: [Int64], npy: String) throws {
                try FileBytes.write(bytes, path: path)
                let raw = try TokenArray(path: path, format: format)
                #expect(raw.count == expected.count)
                #expect(try raw.ids(1..<raw.count) == Array(expected.dropFirst()))
                var header = Array(
                    "{'descr': '\(npy)', 'fortran_order': False, 'shape': (\(expected.count),), }\n".utf8)
                header = [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.count), 0] + header
                try FileBytes.write(header + bytes, path: path)
                let array = try TokenArray(path: path, format: nil)
                #expect(array.format == format)
                #expect(try array.ids(0..<array.count) == expected)
            }
            try check([1, 255], .uint8, [1, 255], npy: "|u1")
            try check([1, 0, 255, 255], .uint16, [1, 65_535], npy: "<u2")
            try check([1, 0, 0, 0, 0, 0, 0, 128], .uint32, [1, 1 << 31], npy: "<u4")
            try check([1, 0, 0, 0, 255, 255, 255, 255], .int32, [1, -1], npy: "<i4")
            try check(
                [7] + [UInt8](repeating: 0, count: 7) + [2] + [UInt8](repeating: 0, count: 7), .int64, [7, 2],
                npy: "<i8")
            try FileBytes.write([1, 2, 3], path: path)
            #expect(throws: TensorError.self) { try TokenArray(path: path, format: .uint16) }
            try Npy.write(Tensor(zeros: [2, 2], elementType: .int64), path: path)
            #expect(throws: TensorError.self) { try TokenArray(path: path, format: nil) }
            try Npy.write(Tensor(zeros: [2]), path: path)
            #expect(throws: TensorError.self) { try TokenArray(path: path, format: nil) }
        }
    }
}
