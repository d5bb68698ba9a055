/** The Odoo account that new keys and speed tests use, and the form that adds one. */
import { announce, attempt, offer, one, onSubmit } from '../shared/view.js'
import { ask } from './api.js'
import { closeDialog, formOf, openDialog } from './dialog.js'

/** @typedef {{ id: string, name: string, url: string, database: string, login: string, odooVersion: string | null }} Account */

const section = one(document, '#account')
const select = /** @type {HTMLSelectElement} */ (one(section, 'select'))

/** @type {Account[]} */
let accounts = []

/** ID of the chosen account. Null if there is none. */
export const chosenAccount = () => select.value || null

/**
 * Shows the accounts. `chosen` is called with every change of the choice, first with the oldest account.
 * @param {() => Promise<unknown>} chosen
 */
export async function showAccounts(chosen) {
  select.addEventListener('change', () => {
    describe()
    void attempt(section, chosen)
  })
  offer(section, '[data-action="add"]', async () => addAccount(chosen))
  await load(null, chosen)
}

/** The choice of an account, for a form. @param {HTMLSelectElement} other */
export function offerAccounts(other) {
  other.replaceChildren(...accounts.map(optionOf))
  other.value = select.value
}

/** @param {Account} account */
function optionOf({ id, name }) {
  const option = document.createElement('option')
  option.value = id
  option.textContent = name
  return option
}

/** @param {string | null} id of the account to choose @param {() => Promise<unknown>} chosen */
async function load(id, chosen) {
  const { odooAccounts } = await ask('{ odooAccounts(first: 100) { nodes { id name url database login odooVersion } } }')
  accounts = odooAccounts.nodes
  select.replaceChildren(...accounts.map(optionOf))
  if (id) select.value = id
  describe()
  await chosen()
}

function describe() {
  const account = accounts.find(({ id }) => id === select.value)
  one(section, '[data-part="none"]').hidden = account !== undefined
  one(section, '[data-part="some"]').hidden = account === undefined
  if (!account) return
  const { url, database, login, odooVersion } = account
  const version = odooVersion ? `, Odoo ${odooVersion}` : ''
  one(section, '[data-part="details"]').textContent = `${url}, database ${database}, login ${login}${version}`
}

/** @param {() => Promise<unknown>} chosen */
function addAccount(chosen) {
  const dialog = openDialog('add-account')
  onSubmit(formOf(dialog), async (input) => {
    const { createOdooAccount } = await ask(
      'mutation ($input: CreateOdooAccountInput!) { createOdooAccount(input: $input) { odooAccount { id name } } }',
      { input },
    )
    const { id, name } = createOdooAccount.odooAccount
    closeDialog(dialog)
    await attempt(section, () => load(id, chosen))
    announce(`${name} is connected.`)
  })
}
