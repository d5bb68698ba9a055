/** Views are templates of the page; one is shown at a time. What forms and buttons do, fail with and announce is the same in all of them. */
import { Problem } from './api.js'

const place = /** @type {HTMLElement} */ (document.getElementById('view'))
const notice = /** @type {HTMLElement} */ (document.getElementById('notice'))

/**
 * Shows a view, with `texts` in its elements `data-text`, and moves the focus to its element `data-focus`.
 * @param {string} name @param {Record<string, string>} [texts] @param {string} [part] the one of its elements `data-part` that is kept
 * @returns {HTMLElement}
 */
export function show(name, texts = {}, part) {
  const view = copyOf(name, texts)
  if (part) for (const other of view.querySelectorAll(`[data-part]:not([data-part="${part}"])`)) other.remove()
  notice.textContent = ''
  place.replaceChildren(view)
  document.title = `${view.querySelector('h1')?.textContent} · Quayside`
  one(view, '[data-focus]').focus()
  return view
}

/** @param {string} name @param {Record<string, string>} [texts] @returns {HTMLElement} */
export function copyOf(name, texts = {}) {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById(`view-${name}`))
  const copy = /** @type {HTMLElement} */ (/** @type {Element} */ (template.content.firstElementChild).cloneNode(true))
  for (const element of copy.querySelectorAll('[data-text]')) {
    element.textContent = texts[/** @type {string} */ (element.getAttribute('data-text'))] ?? ''
  }
  return copy
}

/** @param {ParentNode} parent @param {string} selector @returns {HTMLElement} */
export function one(parent, selector) {
  const found = /** @type {HTMLElement | null} */ (parent.querySelector(selector))
  if (!found) throw new Error(`${selector} is missing`)
  return found
}

/** Announces a success. @param {string} text */
export function announce(text) {
  notice.textContent = text
}

/**
 * @param {HTMLElement} form @param {(values: Record<string, any>) => Promise<unknown>} act
 */
export function onSubmit(form, act) {
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    const values = Object.fromEntries(new FormData(/** @type {HTMLFormElement} */ (form)))
    void attempt(form, () => act(values))
  })
}

/** @param {HTMLElement} button @param {() => Promise<unknown>} act */
export function onClick(button, act) {
  button.addEventListener('click', () => void attempt(/** @type {HTMLElement} */ (button.closest('form, section')), act))
}

/**
 * Runs an action, one at a time in a form or section, which shows its failure.
 * @param {HTMLElement} area @param {() => Promise<unknown>} act
 */
export async function attempt(area, act) {
  if (area.ariaBusy === 'true') return
  area.ariaBusy = 'true'
  clearProblem(area)
  try {
    await act()
  } catch (error) {
    showProblem(area, error)
  } finally {
    area.ariaBusy = null
  }
}

/** @param {HTMLElement} area */
function clearProblem(area) {
  one(area, '.problem').textContent = ''
  for (const input of area.querySelectorAll('[aria-invalid]')) input.removeAttribute('aria-invalid')
}

/** Moves the focus to the input that the failure is about, otherwise to where people try again. @param {HTMLElement} area @param {unknown} error */
function showProblem(area, error) {
  const known = error instanceof Problem ? error : null
  if (!known) console.error(error)
  one(area, '.problem').textContent = known?.message ?? 'Something went wrong. Reload the page, then try again.'
  /** @param {string} selector @returns {HTMLInputElement | null} */
  const find = (selector) => area.querySelector(`input${selector}:not([hidden])`)
  const named = known?.field ? find(`[name="${CSS.escape(known.field)}"]`) : null
  named?.setAttribute('aria-invalid', 'true')
  const input = named ?? find('[type=password]') ?? find('')
  input?.focus()
  input?.select()
}

/** @param {ParentNode} parent @param {string} name */
export const inputOf = (parent, name) => /** @type {HTMLInputElement} */ (one(parent, `input[name="${name}"]`))

/**
 * A row of a list, with a button where something can be done.
 * @param {{ name: string, detail: string, button?: { text: string, label: string, act: () => Promise<unknown> } | null }} row
 */
export function item({ name, detail, button }) {
  const row = copyOf('item', { name, detail })
  if (!button) return row
  const element = document.createElement('button')
  element.type = 'button'
  element.className = 'quiet'
  element.textContent = button.text
  element.ariaLabel = button.label
  onClick(element, button.act)
  row.append(element)
  return row
}

/** A time for people. @param {string} time */
export const when = (time) => new Date(time).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })
