// Package maxsim compares multivectors: several rows of numbers that stand for one
// point, as models of late interaction make them of the words of a text. For each row
// of a query the nearest row of the point counts, and the sum of these is how near the
// point is (Khattab and Zaharia 2020).
package maxsim
