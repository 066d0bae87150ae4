/// How each digit is written: for every digit two or more styles, each a list of strokes, each a list of points in a
/// box from -0.5 to 0.5 with y downwards.
enum DigitSkeletons {
    typealias Style = [[StrokePoint]]

    static let styles: [[Style]] = [
        [  // 0: an oval, a slim overrunning oval, a rounded box
            [arc(0, 0, 0.28, 0.45, 0, 1)],
            [arc(0, 0, 0.21, 0.46, -0.3, 0.78)],
            [
                line(
                    (-0.18, -0.45), (0.18, -0.45), (0.28, -0.2), (0.28, 0.2), (0.18, 0.45), (-0.18, 0.45), (-0.28, 0.2),
                    (-0.28, -0.2), (-0.18, -0.45))
            ],
        ],
        [  // 1: a bar, with a flag, with flag and foot
            [line((0, -0.45), (0, 0.45))],
            [line((-0.2, -0.22), (0, -0.45), (0, 0.45))],
            [line((-0.17, -0.3), (0, -0.45), (0, 0.45)), line((-0.2, 0.45), (0.2, 0.45))],
        ],
        [  // 2: a neck and a flat foot, a wavy foot, an angular one
            [arc(0, -0.2, 0.26, 0.25, 0.5, 1.08) + line((-0.28, 0.45), (0.3, 0.45))],
            [arc(0, -0.2, 0.24, 0.26, 0.55, 1.1) + line((-0.28, 0.42), (-0.08, 0.36), (0.1, 0.45), (0.3, 0.4))],
            [line((-0.28, -0.4), (0.15, -0.46), (0.28, -0.28), (0.1, 0), (-0.28, 0.45), (0.28, 0.45))],
        ],
        [  // 3: two bows, a flat top
            [arc(-0.02, -0.23, 0.25, 0.22, 0.55, 1.25) + arc(-0.02, 0.22, 0.29, 0.23, 0.75, 1.45)],
            [line((-0.25, -0.45), (0.25, -0.45), (-0.03, -0.09)) + arc(-0.02, 0.18, 0.28, 0.27, 0.75, 1.42)],
        ],
        [  // 4: open, closed
            [line((-0.22, -0.45), (-0.28, 0.1), (0.3, 0.1)), line((0.14, -0.3), (0.14, 0.48))],
            [line((0.12, 0.48), (0.12, -0.45), (-0.3, 0.15), (0.32, 0.15))],
        ],
        [  // 5: a roof and a bowl, one sweep
            [line((0.25, -0.45), (-0.2, -0.45), (-0.24, -0.05)) + arc(-0.02, 0.17, 0.29, 0.28, 0.62, 1.42)],
            [arc(0.02, -0.2, 0.24, 0.25, 0.9, 0.3) + arc(-0.02, 0.25, 0.27, 0.2, 0.75, 1.42)],
        ],
        [  // 6: a bent stem, a straight stem
            [arc(0.12, -0.02, 0.38, 0.44, 0.8, 0.47), arc(0, 0.21, 0.26, 0.24, 0, 1)],
            [line((0.18, -0.47), (-0.02, -0.2), (-0.22, 0.14)), arc(0.02, 0.22, 0.25, 0.23, 0, 1)],
        ],
        [  // 7: plain, crossed, bent
            [line((-0.28, -0.45), (0.28, -0.45), (-0.05, 0.47))],
            [line((-0.28, -0.45), (0.28, -0.45), (-0.05, 0.47)), line((-0.14, 0), (0.24, 0))],
            [line((-0.28, -0.34), (-0.26, -0.45), (0.28, -0.45), (0.1, -0.1), (0.02, 0.2), (0, 0.47))],
        ],
        [  // 8: two rings, one crossing sweep
            [arc(0, -0.23, 0.22, 0.21, 0, 1), arc(0, 0.22, 0.27, 0.24, 0, 1)],
            [
                line(
                    (0.22, -0.32), (0.05, -0.46), (-0.18, -0.36), (-0.16, -0.16), (0.18, 0.12), (0.22, 0.32), (0, 0.46),
                    (-0.22, 0.32), (-0.18, 0.12), (0.16, -0.16), (0.22, -0.32))
            ],
        ],
        [  // 9: a straight tail, a curved tail
            [arc(0, -0.2, 0.25, 0.24, 0, 1), line((0.25, -0.2), (0.22, 0.47))],
            [arc(0, -0.2, 0.25, 0.24, 0, 1), line((0.25, -0.2), (0.25, 0.2), (0.1, 0.43), (-0.2, 0.42))],
        ],
    ]

    private static func line(_ points: (Float, Float)...) -> [StrokePoint] {
        points.map { StrokePoint(x: $0.0, y: $0.1) }
    }

    /// Part of an ellipse between two angles in turns; 0 is right, 1/4 is down.
    private static func arc(
        _ x: Float, _ y: Float, _ width: Float, _ height: Float, _ from: Float, _ to: Float
    ) -> [StrokePoint] {
        let steps = max(6, Int(abs(to - from) * 14))
        return (0...steps).map { step in
            let turn = from + (to - from) * Float(step) / Float(steps)
            return StrokePoint(x: x + width * Trigonometry.cosine(turn), y: y + height * Trigonometry.sine(turn))
        }
    }
}
