import Tensors

/// A place in pixels or in the unit box of a skeleton; y grows downwards.
struct StrokePoint: Sendable {
    let x: Float
    let y: Float
}

/// A sheet of 28 x 28 pixels on which strokes leave ink between 0 and 1.
struct DigitCanvas {
    private static let side = SyntheticDigits.side
    private var ink = [Float](repeating: 0, count: side * side)

    mutating func clear() {
        for pixel in ink.indices { ink[pixel] = 0 }
    }

    /// A line with round ends and soft edges: full ink within `radius - 0.5`, none beyond `radius + 0.5`.
    /// Overlaps do not add up.
    mutating func drawSegment(from start: StrokePoint, to end: StrokePoint, radius: Float, ink level: Float) {
        let reach = radius + 0.5
        guard let columns = Self.pixels(min(start.x, end.x) - reach, max(start.x, end.x) + reach),
            let rows = Self.pixels(min(start.y, end.y) - reach, max(start.y, end.y) + reach)
        else { return }
        let (dx, dy) = (end.x - start.x, end.y - start.y)
        let squaredLength = dx * dx + dy * dy
        let scale = squaredLength > 0 ? 1 / squaredLength : 0
        let squaredReach = reach * reach
        ink.withUnsafeMutableBufferPointer { ink in
            for row in rows {
                let py = Float(row) - start.y
                for column in columns {
                    let px = Float(column) - start.x
                    // The nearest point of the segment lies at this fraction of it.
                    let along = max(0, min(1, (px * dx + py * dy) * scale))
                    let (ex, ey) = (px - along * dx, py - along * dy)
                    let squaredDistance = ex * ex + ey * ey
                    guard squaredDistance < squaredReach else { continue }
                    let value = level * min(1, reach - squaredDistance.squareRoot())
                    let pixel = row * Self.side + column
                    if value > ink[pixel] { ink[pixel] = value }
                }
            }
        }
    }

    /// Turns ink into bytes under a random background, contrast and noise.
    func develop(into pixels: UnsafeMutableBufferPointer<UInt8>, using generator: inout SeededGenerator) {
        let background = generator.uniform(in: 0...40)
        let contrast = generator.uniform(in: 150...255) - background
        let noise = generator.uniform(in: 4...26)
        ink.withUnsafeBufferPointer { ink in
            for pixel in 0..<ink.count {
                let value = background + contrast * ink[pixel] + noise * Self.bell(generator.next())
                pixels[pixel] = UInt8(max(0, min(255, value)))
            }
        }
    }

    /// Nearly standard normal: the sum of four 16-bit numbers, shifted and scaled (Irwin-Hall).
    private static func bell(_ bits: UInt64) -> Float {
        let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + bits >> 48
        // Four uniforms have standard deviation sqrt(4 / 12) times their width.
        return (Float(sum) - 131_070) * (1 / (65_536 * 0.577_350_3))
    }

    /// The pixels between two coordinates, nil when all lie off the sheet.
    private static func pixels(_ low: Float, _ high: Float) -> ClosedRange<Int>? {
        let first = max(0, Int(low.rounded(.up)))
        let last = min(side - 1, Int(high.rounded(.down)))
        return first <= last ? first...last : nil
    }
}

/// Sine and cosine of angles in turns, from a fixed series, so that every machine gets the same bits.
enum Trigonometry {
    static func sine(_ turns: Float) -> Float {
        // To -1/2...1/2 turn, then by sin(pi - x) = sin(x) to -1/4...1/4.
        var x = Double(turns) - Double(turns).rounded()
        if x > 0.25 { x = 0.5 - x } else if x < -0.25 { x = -0.5 - x }
        let angle = 2 * Double.pi * x
        let square = angle * angle
        var term = angle
        var sum = angle
        for n in 1...7 {
            term *= -square / Double(2 * n * (2 * n + 1))
            sum += term
        }
        return Float(sum)
    }

    static func cosine(_ turns: Float) -> Float { sine(turns + 0.25) }
}
