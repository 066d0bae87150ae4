import Tensors
import Testing

@testable import Engine

/// Images from bytes: every format and conversion, resizing against a slow reference, and everything that must be refused.
@Suite struct DataImageTests {
    private func decode(_ bytes: [UInt8], _ shape: Shape, resizes: Bool = false) throws -> [UInt8] {
        var pixels = [UInt8](repeating: 0, count: shape.elementCount)
        let decoder = ImageDecoder()
        try pixels.withUnsafeMutableBytes { target in
            try decoder.decode(bytes, shape: shape, resizes: resizes, into: target)
        }
        return pixels
    }

    private func reason(_ bytes: [UInt8], _ shape: Shape = [3, 8, 8], resizes: Bool = true) -> String {
        do {
            _ = try decode(bytes, shape, resizes: resizes)
            return "none"
        } catch { return (error as? ImageDecoder.Fault)?.reason ?? "\(error)" }
    }

    @Test func pngIsExactAndPlanar() throws {
        let file = imageFile(.png, height: 3, width: 4) { UInt8(60 * $0 + 10 * $1 + $2) }
        var expected: [UInt8] = []
        for c in 0..<3 { for y in 0..<3 { for x in 0..<4 { expected.append(UInt8(60 * y + 10 * x + c)) } } }
        #expect(try decode(file, [3, 3, 4]) == expected)
        let grey = imageFile(.png, height: 2, width: 2, channels: 1) { y, x, _ in UInt8(2 * y + x) }
        #expect(try decode(grey, [1, 2, 2]) == [0, 1, 2, 3])
        #expect(try decode(grey, [3, 2, 2]) == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3])
    }

    @Test func colorsBecomeLuminanceAndTransparencyIsDropped() throws {
        let color = imageFile(.png, height: 1, width: 2) { _, x, c in x == 0 ? [200, 100, 50][c] : 7 }
        #expect(try decode(color, [1, 1, 2]) == [124, 7])
        let transparent = imageFile(.png, height: 1, width: 1, channels: 4) { [9, 8, 7, 0][$2] }
        #expect(try decode(transparent, [3, 1, 1]) == [9, 8, 7])
        #expect(try decode(Self.greyWithAlpha, [1, 1, 2]) == [100, 200])
    }

    @Test func sixteenBitsKeepTheirHighByte() throws {
        #expect(try decode(Self.sixteenBits, [3, 1, 2]) == [10, 40, 20, 50, 30, 60])
    }

    @Test func jpegComesClose() throws {
        let file = imageFile(.jpeg, height: 16, width: 24) { y, x, c in UInt8(40 * c + 5 * x + y) }
        let pixels = try decode(file, [3, 16, 24])
        for c in 0..<3 {
            for y in 0..<16 {
                for x in 0..<24 {
                    let error = Int(pixels[(c * 16 + y) * 24 + x]) - (40 * c + 5 * x + y)
                    #expect(abs(error) <= 16, "\(c) \(y) \(x): off by \(error)")
                }
            }
        }
        let grey = try decode(file, [1, 16, 24])
        #expect(abs(Int(grey[0]) - 28) <= 8)
        let greyFile = imageFile(.jpeg, height: 8, width: 8, channels: 1) { _, _, _ in 77 }
        #expect(try decode(greyFile, [3, 8, 8]) == [UInt8](repeating: 77, count: 192))
    }

    /// The triangle filter with antialiasing in double precision, as PIL and torchvision define it.
    private func resized(_ plane: [Double], _ height: Int, _ width: Int, to newHeight: Int, _ newWidth: Int) -> [Double]
    {
        func weights(_ size: Int, _ newSize: Int) -> [[Double]] {
            let scale = Double(size) / Double(newSize)
            let support = max(scale, 1)
            return (0..<newSize).map { place in
                let center = (Double(place) + 0.5) * scale
                let first = max(0, Int(center - support + 0.5))
                let last = min(size, Int(center + support + 0.5))
                var row = (0..<size).map { at -> Double in
                    guard at >= first, at < last else { return 0 }
                    return max(0, 1 - abs((Double(at) - center + 0.5) / support))
                }
                let sum = row.reduce(0, +)
                row = row.map { $0 / sum }
                return row
            }
        }
        let (rows, columns) = (weights(height, newHeight), weights(width, newWidth))
        return rows.flatMap { row in
            columns.map { column in
                var sum = 0.0
                for y in 0..<height where row[y] != 0 {
                    for x in 0..<width { sum += row[y] * column[x] * plane[y * width + x] }
                }
                return sum
            }
        }
    }

    @Test(arguments: [(9, 7, 4, 5), (5, 6, 11, 13), (8, 8, 8, 3), (40, 30, 6, 7)])
    func resizingMatchesTheReference(height: Int, width: Int, newHeight: Int, newWidth: Int) throws {
        var random = SeededGenerator(seed: UInt64(height))
        let values = (0..<3 * height * width).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        let file = imageFile(.png, height: height, width: width) { values[($2 * height + $0) * width + $1] }
        let pixels = try decode(file, [3, newHeight, newWidth], resizes: true)
        for channel in 0..<3 {
            let plane = values[channel * height * width..<(channel + 1) * height * width].map(Double.init)
            let expected = resized(plane, height, width, to: newHeight, newWidth)
            for (index, value) in expected.enumerated() {
                let error = abs(Double(pixels[channel * newHeight * newWidth + index]) - value)
                #expect(error < 0.51, "channel \(channel), pixel \(index): \(error)")
            }
        }
    }

    /// A JPEG that is much larger than wanted is decoded at a part of its size; what comes out must be close to the whole.
    @Test func scaledDecodingLooksTheSame() throws {
        func value(_ y: Int, _ x: Int, _ c: Int) -> UInt8 { UInt8(y / 2 + x / 4 + 20 * c) }
        let jpeg = imageFile(.jpeg, height: 200, width: 300, value)
        let png = imageFile(.png, height: 200, width: 300, value)
        let (a, b) = (try decode(jpeg, [3, 12, 18], resizes: true), try decode(png, [3, 12, 18], resizes: true))
        #expect(zip(a, b).allSatisfy { abs(Int($0) - Int($1)) <= 4 })
    }

    @Test(arguments: ImageFormat.allCases) func everyTruncationIsRefused(_ format: ImageFormat) {
        var random = SeededGenerator(seed: 1)
        let file = imageFile(format, height: 8, width: 8) { _, _, _ in UInt8(truncatingIfNeeded: random.next()) }
        // A PNG is whole with its pixels; what follows are the checksum and the closing chunk.
        for count in 0..<(format == .png ? file.count - 16 : file.count) {
            #expect(reason(Array(file[..<count])) != "none", "\(count) of \(file.count) bytes")
        }
        #expect(reason(file) == "none")
    }

    /// What a bad image leaves behind must not spoil the next.
    @Test(arguments: ImageFormat.allCases) func aDecoderOutlivesBadImages(_ format: ImageFormat) throws {
        let file = plainImage(format, 9, 9, 9)
        let decoder = ImageDecoder()
        var pixels = [UInt8](repeating: 0, count: 192)
        for count in 0..<file.count {
            for bytes in [Array(file[..<count]), file] {
                let isRead = pixels.withUnsafeMutableBytes { target in
                    (try? decoder.decode(bytes, shape: [3, 8, 8], resizes: false, into: target)) != nil
                }
                if bytes.count == file.count { #expect(isRead, "after \(count) bytes") }
            }
        }
    }

    @Test func impossibleImagesAreRefusedByTheirHeader() {
        // A PNG of 100,000 x 100,000 and a JPEG of 65,000 x 65,000 pixels in a few bytes.
        var png = plainImage(.png, 1, 2, 3)
        png.replaceSubrange(16..<24, with: [0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0])
        png.replaceSubrange(29..<33, with: Self.checksum(Array(png[12..<29])))
        #expect(reason(png).contains("100000 x 100000 pixels exceed the limit"))
        var jpeg = plainImage(.jpeg, 1, 2, 3)
        guard let frame = jpeg.indices.first(where: { jpeg[$0] == 0xff && jpeg[$0 + 1] == 0xc0 }) else {
            Issue.record("the fixture has no frame header")
            return
        }
        jpeg.replaceSubrange(frame + 5..<frame + 9, with: [0xfd, 0xe8, 0xfd, 0xe8])
        #expect(reason(jpeg).contains("65000 x 65000 pixels exceed the limit"))
        #expect(reason([]).contains("empty"))
        #expect(reason(Array("GIF89a".utf8)).contains("neither JPEG nor PNG"))
        #expect(reason(plainImage(.png, 1, 2, 3, side: 9), resizes: false).contains("give size=HEIGHTxWIDTH"))
    }

    /// CRC-32 of PNG chunks, big-endian.
    private static func checksum(_ bytes: [UInt8]) -> [UInt8] {
        var value: UInt32 = 0xffff_ffff
        for byte in bytes {
            value ^= UInt32(byte)
            for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0xedb8_8320 : value >> 1 }
        }
        return (0..<4).map { UInt8(truncatingIfNeeded: ~value >> (24 - 8 * UInt32($0))) }
    }

    /// 2 x 1 pixels of 16 bits a channel: (10.99, 20.1, 30.2), (40.3, 50.4, 60.255), high byte before low.
    private static let sixteenBits: [UInt8] = [
        137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 2, 0, 0, 0, 1, 16, 2, 0, 0, 0, 43, 208,
        52,
        158, 0, 0, 0, 21, 73, 68, 65, 84, 120, 218, 99, 224, 74, 22, 97, 148, 99, 210, 96, 54, 98, 177, 249, 15, 0, 9,
        223,
        2, 63, 172, 129, 199, 128, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130,
    ]
    /// 2 x 1 grey pixels with transparency: 100 (invisible) and 200.
    private static let greyWithAlpha: [UInt8] = [
        137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 2, 0, 0, 0, 1, 8, 4, 0, 0, 0, 94, 43,
        183, 1,
        0, 0, 0, 13, 73, 68, 65, 84, 120, 218, 99, 72, 97, 56, 241, 31, 0, 4, 36, 2, 44, 205, 161, 160, 245, 0, 0, 0, 0,
        73,
        69, 78, 68, 174, 66, 96, 130,
    ]
}
