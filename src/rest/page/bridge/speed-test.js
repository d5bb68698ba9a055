/** The two speed tests, and what they gave so far: the last latencies, the table and the plot. */
import { announce, offer, one, when } from '../shared/view.js'
import { chosenAccount } from './account.js'
import { call } from './api.js'
import { draw, followPage } from './plot.js'
import { latenciesOf, summaryOf } from './statistics.js'
import { capitalised, fill } from './table.js'

/** @typedef {import('./statistics.js').Test} Test */

const tests = one(document, '#speed-test')
const history = one(document, '#history')
const types = ['light', 'heavy']

/** @type {Test[]} newest first */
let shown = []

/** @param {string} type */
const card = (type) => one(tests, `[data-test="${type}"]`)

/** Shows the tests of the chosen account. */
export async function showTests() {
  const account = chosenAccount()
  shown = account ? await call('GET', `/speed-test/history?limit=100&connection_id=${encodeURIComponent(account)}`) : []
  for (const type of types) {
    const button = /** @type {HTMLButtonElement | null} */ (card(type).querySelector('button'))
    if (button) button.disabled = account === null
    one(card(type), '[data-part="latency"]').textContent = String(latenciesOf(shown, type)[0] ?? '--')
  }
  showHistory()
}

export function offerTests() {
  for (const type of types) {
    offer(card(type), 'button', () => run(type))
  }
  followPage(showPlot)
}

/** @param {string} type */
async function run(type) {
  announce(`The ${type} test is running.`)
  const test = /** @type {Test} */ (await call('POST', '/speed-test', { type, connection_id: chosenAccount() }))
  await showTests()
  announce(test.status === 'succeeded' ? `The ${type} test took ${test.latency_ms} ms.` : `The ${type} test failed: ${test.details}`)
}

function showHistory() {
  const rows = shown.map(({ test_type, latency_ms, status, tested_at, details }) => [
    { text: capitalised(test_type), heads: true },
    { text: latency_ms === null ? '–' : `${latency_ms} ms` },
    { text: capitalised(status), kind: status },
    { text: when(tested_at) },
    { text: details ?? '', kind: 'text' },
  ])
  fill(one(history, 'tbody'), rows, 'No speed tests yet.')
  for (const type of types) one(history, `[data-summary="${type}"]`).textContent = summaryOf(shown, type)
  const failed = shown.filter(({ status }) => status === 'failed').length
  one(history, '[data-summary="failed"]').textContent = failed === 1 ? '1 test' : `${failed} tests`
  one(history, '[data-part="chart"]').hidden = shown.length === 0
  showPlot()
}

/** Without the plot, the table still says everything. */
function showPlot() {
  if (shown.length > 0) draw(shown).catch((error) => console.warn(error))
}
