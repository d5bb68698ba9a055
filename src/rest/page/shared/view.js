/** What templates, forms and buttons do, fail with and announce, which is the same in all pages. */
import { Problem } from './api.js'

const notice = /** @type {HTMLElement} */ (document.getElementById('notice'))

/**
 * A copy of a template of the page, with `texts` in its elements `data-text`.
 * @param {string} name @param {Record<string, string>} [texts] @returns {HTMLElement}
 */
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
 * The same for a button that the page may lack, because the person may not use it.
 * @param {ParentNode} parent @param {string} selector @param {() => Promise<unknown>} act @returns {HTMLButtonElement | null}
 */
export function offer(parent, selector, act) {
  const button = /** @type {HTMLButtonElement | null} */ (parent.querySelector(selector))
  if (button) onClick(button, act)
  return button
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
  const find = (selector) => area.querySelector(`:is(input, select)${selector}:not([hidden])`)
  const named = known?.field ? find(`[name="${CSS.escape(known.field)}"]`) : null
  named?.setAttribute('aria-invalid', 'true')
  const input = named ?? find('[type=password]') ?? find('')
  input?.focus()
  if (input && 'select' in input) input.select()
}

/** @param {ParentNode} parent @param {string} name */
export const inputOf = (parent, name) => /** @type {HTMLInputElement} */ (one(parent, `input[name="${name}"]`))

/** A time for people. @param {string} time */
export const when = (time) => new Date(time).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })
