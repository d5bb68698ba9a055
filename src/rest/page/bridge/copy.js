/** Buttons that copy the text of an element, which they name by `data-copies`. */
import { announce, onClick, one } from '../shared/view.js'

/** @param {ParentNode} place */
export function offerCopies(place) {
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (place.querySelectorAll('[data-copies]'))) {
    onClick(button, () => copy(button, one(place, `#${button.dataset.copies}`)))
  }
}

/** Without access to the clipboard, which browsers give over TLS and on localhost only, the text is selected. @param {HTMLElement} button @param {HTMLElement} element */
async function copy(button, element) {
  try {
    await navigator.clipboard.writeText(/** @type {string} */ (element.textContent))
    button.textContent = 'Copied'
    announce('Copied.')
  } catch {
    getSelection()?.selectAllChildren(element)
    announce('The text is selected. Copy it with the keyboard.')
  }
}
