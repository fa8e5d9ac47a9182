

crawler-é