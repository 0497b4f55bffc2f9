"""What an audit finds in a set: balance, encoding, near duplicates, bias."""
