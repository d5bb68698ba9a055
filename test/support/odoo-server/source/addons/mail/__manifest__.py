{
    'name': 'Discuss',
    'version': '1.15',
    'depends': ['base', 'bus', 'web'],
    'installable': True,
}
