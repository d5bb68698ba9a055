/** Dialogs are templates of the page, shown one at a time over it. */
import { copyOf, one } from '../shared/view.js'

/**
 * Opens a dialog. It is removed when it closes, and the focus returns to where it was.
 * @param {string} name @param {Record<string, string>} [texts] @returns {HTMLDialogElement}
 */
export function openDialog(name, texts) {
  const dialog = /** @type {HTMLDialogElement} */ (copyOf(name, texts))
  dialog.addEventListener('close', () => dialog.remove())
  dialog.querySelector('[data-action="close"]')?.addEventListener('click', () => closeDialog(dialog))
  document.body.append(dialog)
  dialog.showModal()
  return dialog
}

/** @param {HTMLDialogElement} dialog */
export function closeDialog(dialog) {
  dialog.close()
  // At once, so that the next one is alone.
  dialog.remove()
}

/** @param {HTMLDialogElement} dialog */
export const formOf = (dialog) => /** @type {HTMLFormElement} */ (one(dialog, 'form'))
