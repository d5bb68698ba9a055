// Fails before it serves anything.
console.error('no configuration found')
process.exit(3)
