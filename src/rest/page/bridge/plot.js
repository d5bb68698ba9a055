/** The plot of the history, by uPlot. The table below it says the same, so to those who can't see it, it is one image with a summary. */
import { one } from '../shared/view.js'
import { columnsOf, summaryOf } from './statistics.js'

/** @typedef {import('uplot')} Plot */
/** @typedef {import('./statistics.js').Test} Test */

const place = one(document, '#plot')

/** @type {Plot | undefined} */
let plot

/** @param {Test[]} tests newest first */
export async function draw(tests) {
  /** @type {{ default: typeof import('uplot') }} */
  const { default: Uplot } = await import(new URL('../vendor/uplot.js', import.meta.url).href)
  plot?.destroy()
  plot = new Uplot(options(), columnsOf(tests), place)
  place.ariaLabel = `Latency of the speed tests over time. Light: ${summaryOf(tests, 'light')}. Heavy: ${summaryOf(tests, 'heavy')}.`
}

/** Follows the size of the page and its colour scheme. @param {() => void} redraw */
export function followPage(redraw) {
  new ResizeObserver(() => plot?.setSize(size())).observe(place)
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw)
}

const size = () => ({ width: place.clientWidth, height: place.clientHeight })

/** @returns {import('uplot').Options} */
function options() {
  const text = getComputedStyle(document.body).color
  const grid = { stroke: getComputedStyle(one(document, '#history th')).borderBottomColor, width: 0.5 }
  const axis = { stroke: text, grid, ticks: { show: false } }
  return {
    ...size(),
    ms: 1,
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { range: rangeOf },
      y: { range: (_plot, _least, most) => [0, Math.max(10, (most ?? 0) * 1.1)] },
    },
    axes: [axis, { ...axis, size: 72, values: (_plot, values) => values.map((value) => `${value} ms`) }],
    series: [{}, series('light'), series('heavy'), { ...series('failed'), paths: () => null }],
    hooks: { drawSeries: [mark] },
  }
}

/** From the first test to the last one; a minute around them if they are at the same time. @param {Plot} drawn @returns {[number, number]} */
function rangeOf({ data: [times] }) {
  const [first = 0, last = 0] = [times[0], times.at(-1)]
  return first < last ? [first, last] : [first - 30_000, last + 30_000]
}

/** @param {string} name */
const series = (name) => ({
  stroke: getComputedStyle(one(document, `.swatch.${name}`)).color,
  width: 1.5,
  spanGaps: true,
  points: { show: false },
})

/** Of a mark, in CSS pixels. */
const radius = 4

/** Adds the mark of each series around a point: a disc, a square, and a cross, so that they differ not only in colour. */
const marks = [
  (/** @type {Path2D} */ path, /** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ r) => {
    path.moveTo(x + r, y)
    path.arc(x, y, r, 0, 2 * Math.PI)
  },
  (/** @type {Path2D} */ path, /** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ r) =>
    path.rect(x - r, y - r, 2 * r, 2 * r),
  (/** @type {Path2D} */ path, /** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ r) => {
    path.moveTo(x - r, y - r)
    path.lineTo(x + r, y + r)
    path.moveTo(x - r, y + r)
    path.lineTo(x + r, y - r)
  },
]

/** @param {Plot} drawn @param {number} index of the series */
function mark(drawn, index) {
  const path = new Path2D()
  const ratio = devicePixelRatio
  for (const [at, value] of /** @type {(number | null)[]} */ (drawn.data[index]).entries()) {
    if (value === null) continue
    const x = drawn.valToPos(/** @type {number} */ (drawn.data[0][at]), 'x', true)
    // Above the axis, where a failed test is.
    const y = drawn.valToPos(value, 'y', true) - (value === 0 ? 2 * radius * ratio : 0)
    marks[index - 1]?.(path, x, y, radius * ratio)
  }
  const { ctx } = drawn
  ctx.strokeStyle = ctx.fillStyle = series(['', 'light', 'heavy', 'failed'][index] ?? '').stroke
  ctx.lineWidth = 2 * ratio
  ctx.stroke(path)
  ctx.fill(path)
}
